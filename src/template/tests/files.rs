//! Tests about files here, on the controller.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::super::call::{Call, Plugin};
use super::super::{TemplateError, Value, python};

pub const TESTS: &[Plugin] = &[
    Plugin::new("exists", &["path"], |call| about(call, Path::exists)),
    Plugin::new("link_exists", &["path"], |call| {
        about(call, |path| path.symlink_metadata().is_ok())
    }),
    Plugin::new("directory", &["path"], |call| about(call, Path::is_dir)),
    Plugin::new("is_dir", &["path"], |call| about(call, Path::is_dir)),
    Plugin::new("file", &["path"], |call| about(call, Path::is_file)),
    Plugin::new("is_file", &["path"], |call| about(call, Path::is_file)),
    Plugin::new("link", &["path"], |call| about(call, Path::is_symlink)),
    Plugin::new("is_link", &["path"], |call| about(call, Path::is_symlink)),
    Plugin::new("abs", &["path"], |call| about(call, Path::is_absolute)),
    Plugin::new("is_abs", &["path"], |call| about(call, Path::is_absolute)),
    Plugin::new("mount", &["path"], |call| about(call, is_mount)),
    Plugin::new("is_mount", &["path"], |call| about(call, is_mount)),
    Plugin::new("same_file", &["path", "other"], same_file),
    Plugin::new("is_same_file", &["path", "other"], same_file),
    Plugin::new("vaulted_file", &["path"], vaulted_file),
];

fn about(call: &mut Call, is: fn(&Path) -> bool) -> Result<Value, TemplateError> {
    Ok(Value::from(is(Path::new(&python::text(call.value()?)))))
}

/// Whether another file system begins here.
fn is_mount(path: &Path) -> bool {
    let Ok(here) = path.symlink_metadata() else { return false };
    if here.is_symlink() {
        return false;
    }
    path.join("..")
        .symlink_metadata()
        .is_ok_and(|above| above.dev() != here.dev() || above.ino() == here.ino())
}

fn same_file(call: &mut Call) -> Result<Value, TemplateError> {
    let identity = |path: &str| {
        let found = Path::new(path).metadata();
        found
            .map(|found| (found.dev(), found.ino()))
            .map_err(|error| TemplateError::new(format!("{error}: '{path}'")))
    };
    let (path, other) = (python::text(call.value()?), call.text("other")?);
    Ok(Value::from(identity(&path)? == identity(&other)?))
}

fn vaulted_file(call: &mut Call) -> Result<Value, TemplateError> {
    let path = python::text(call.value()?);
    let content = std::fs::read(&path).map_err(|error| {
        TemplateError::new(format!("Cannot test if the file {path} is a vault: {error}"))
    })?;
    Ok(Value::from(content.starts_with(b"$ANSIBLE_VAULT")))
}
