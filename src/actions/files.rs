//! Files of the operator's: where `src: name` is looked for.

use std::path::{Path, PathBuf};

use super::{Context, Error};

/// The file or folder of this name: in `<folder>/` of each search path, then in the
/// path itself; an absolute path is taken as it is.
pub fn find(context: &Context, folder: &str, name: &str) -> Result<PathBuf, Error> {
    let name = expand_home(name);
    let candidates: Vec<PathBuf> = if name.is_absolute() {
        vec![name.clone()]
    } else {
        context
            .search
            .iter()
            .flat_map(|base| [base.join(folder).join(&name), base.join(&name)])
            .collect()
    };
    if let Some(found) = candidates.iter().find(|path| path.exists()) {
        return Ok(found.clone());
    }
    let searched: Vec<_> = candidates.iter().map(|path| format!("\t{}", path.display())).collect();
    Err(Error::failed(format!(
        "Could not find or access '{}'\nSearched in:\n{} on the Ansible Controller.\nIf you are \
         using a module and expect the file to exist on the remote, see the remote_src option",
        name.display(),
        searched.join("\n"),
    )))
}

/// `~/x` as the operator's shell would read it.
pub fn expand_home(path: &str) -> PathBuf {
    match (path.strip_prefix("~/"), std::env::var_os("HOME")) {
        (Some(rest), Some(home)) => Path::new(&home).join(rest),
        _ => PathBuf::from(path),
    }
}
