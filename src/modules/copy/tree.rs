//! A folder of the host copied on the host.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::Copy;
use crate::modules::args::HostPath;
use crate::modules::files::{Attributes, failed};
use crate::modules::mode::Mode;
use crate::modules::{Context, Failure, Outcome};

/// Copies file by file. A source that ends in `/` gives its contents, another one is
/// itself made below the destination.
pub fn copy(module: &Copy, src: &Path, context: &Context) -> Result<Outcome, Failure> {
    let mut root = module.dest.0.clone();
    if !src.as_os_str().as_encoded_bytes().ends_with(b"/")
        && let Some(name) = src.file_name()
    {
        root.push(name);
    }
    let mut outcome = Outcome::default();
    folder(module, src, &root, context, &mut outcome)?;
    let dest = module.dest.display().to_string();
    Ok(outcome.with("dest", dest).with("src", src.display().to_string()).with("state", "directory"))
}

fn folder(
    module: &Copy,
    src: &Path,
    dest: &Path,
    context: &Context,
    outcome: &mut Outcome,
) -> Result<(), Failure> {
    let unreadable = |error| failed("cannot be read", src, &error);
    let mode = fs::metadata(src).map_err(unreadable)?.mode();
    if !dest.is_dir() {
        outcome.changed = true;
        if !context.check {
            fs::create_dir_all(dest).map_err(|error| failed("cannot be made", dest, &error))?;
        }
    }
    let mode = module.directory_mode.clone().unwrap_or_else(|| Mode::of(mode));
    let attributes =
        Attributes { owner: module.owner.clone(), group: module.group.clone(), mode: Some(mode) };
    outcome.changed |= attributes.apply(dest, true, context.check)?;
    let entries = fs::read_dir(src).and_then(|entries| entries.collect::<Result<Vec<_>, _>>());
    let mut entries: Vec<PathBuf> =
        entries.map_err(unreadable)?.into_iter().map(|entry| entry.path()).collect();
    entries.sort();
    for path in entries {
        let below = dest.join(path.file_name().unwrap_or_default());
        if path.is_dir() {
            folder(module, &path, &below, context, outcome)?;
        } else {
            let one = Copy { src: Some(HostPath(path)), dest: HostPath(below), ..module.clone() };
            let copied = one.put(context)?;
            outcome.changed |= copied.changed;
            outcome.diff.extend(copied.diff);
        }
    }
    Ok(())
}
