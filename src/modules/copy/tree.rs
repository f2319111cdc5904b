//! A folder of the host copied on the host.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;

use super::Copy;
use crate::modules::args::HostPath;
use crate::modules::files::{Attributes, failed};
use crate::modules::folder::{self, Kind};
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
    let entries = folder::entries(src, module.local_follow.0);
    let entries = entries.map_err(|error| failed("cannot be read", src, &error))?;
    let mut outcome = Outcome::default();
    for entry in entries {
        let dest = root.join(&entry.below);
        let done = match entry.kind {
            Kind::Directory => directory(module, &src.join(&entry.below), &dest, context)?,
            Kind::File(path) => {
                let (src, dest) = (Some(HostPath(path)), HostPath(dest));
                Copy { src, dest, ..module.clone() }.put(context)?
            }
            Kind::Link(target) => link(&target, &dest, context)?,
        };
        outcome.changed |= done.changed;
        outcome.diff.extend(done.diff);
    }
    let dest = module.dest.display().to_string();
    Ok(outcome.with("dest", dest).with("src", src.display().to_string()).with("state", "directory"))
}

fn directory(
    module: &Copy,
    src: &Path,
    dest: &Path,
    context: &Context,
) -> Result<Outcome, Failure> {
    let mode = fs::metadata(src).map_err(|error| failed("cannot be read", src, &error))?.mode();
    let made = !dest.is_dir();
    let mut changed = made;
    if made && !context.check {
        fs::create_dir_all(dest).map_err(|error| failed("cannot be made", dest, &error))?;
    }
    // One that was there is not the source's.
    let mode = module.directory_mode.clone().or_else(|| made.then(|| Mode::of(mode)));
    let attributes = Attributes { owner: module.owner.clone(), group: module.group.clone(), mode };
    changed |= attributes.apply(dest, true, context.check)?;
    Ok(Outcome::changed(changed))
}

fn link(target: &Path, dest: &Path, context: &Context) -> Result<Outcome, Failure> {
    let changed = fs::read_link(dest).ok().as_deref() != Some(target);
    if changed && !context.check {
        let made = match dest.symlink_metadata() {
            Ok(old) if !old.is_dir() => fs::remove_file(dest),
            _ => Ok(()),
        };
        made.and_then(|()| symlink(target, dest))
            .map_err(|error| failed("Error while linking", dest, &error))?;
    }
    Ok(Outcome::changed(changed))
}
