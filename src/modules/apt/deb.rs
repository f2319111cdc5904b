//! Package files.

use crate::modules::process::Process;
use crate::modules::{Context, Failure, dpkg};

/// Whether the package of the file is installed in this version, or a newer one unless
/// it may be downgraded.
pub fn is_installed(context: &Context, path: &str, downgrade: bool) -> Result<bool, Failure> {
    if path.contains("://") {
        return Err(Failure::new(format!("{path}: fetch the file first (get_url, copy)")));
    }
    if !std::path::Path::new(path).exists() {
        return Err(Failure::new(format!("Unable to install package: {path} does not exist")));
    }
    let read =
        Process::new("dpkg-deb").in_context(context).args(["-f", path, "Package", "Version"]);
    let output = dpkg::must(read, "Unable to install package")?;
    let field = |name: &str| {
        let mut lines = output.stdout.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": ").map(str::to_owned))
    };
    let (Some(name), Some(version)) = (field("Package"), field("Version")) else {
        return Err(Failure::new(format!("{path} names no package")));
    };
    let installed = dpkg::installed(context, std::slice::from_ref(&name))?;
    let Some(current) = installed.get(&name) else {
        return Ok(false);
    };
    if *current == version {
        return Ok(true);
    }
    let newer = Process::new("dpkg")
        .in_context(context)
        .args(["--compare-versions", current, "gt", &version])
        .run()?
        .success();
    Ok(newer && !downgrade)
}

/// apt takes a word with a slash for a file.
pub fn for_apt(path: &str) -> String {
    if path.contains('/') { path.to_owned() } else { format!("./{path}") }
}
