//! What a template file knows of itself: `ansible_managed`, `template_path` and the like.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::context::Context;
use super::filters::time::Moment;
use super::{FileOptions, Value};

/// The variables as a dictionary. An `ansible_managed` of the operator's own stays.
pub fn of_file(options: &FileOptions, context: &Arc<Context>) -> Value {
    let path = options.path.as_deref().unwrap_or(Path::new(""));
    let full = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let full = Value::from(full.display().to_string());
    let metadata = fs::metadata(path).ok();
    let changed = metadata.as_ref().and_then(|metadata| metadata.modified().ok());
    let changed = changed.and_then(|time| Timestamp::try_from(time).ok());
    let text = |text: &Option<String>| text.as_deref().map(Value::from);
    let mut variables = vec![
        ("template_host", Value::from(host_name())),
        ("template_path", text(&options.written_path).unwrap_or_else(|| full.clone())),
        ("template_fullpath", full),
        ("template_destpath", text(&options.destination).unwrap_or(Value::from(()))),
        ("template_uid", metadata.map_or(Value::from(()), |metadata| owner(metadata.uid()))),
        ("template_mtime", changed.map_or(Value::from(()), moment)),
        ("template_run_date", moment(Timestamp::now())),
    ];
    if context.scope.lookup("ansible_managed").is_none() {
        variables.push(("ansible_managed", Value::from("Ansible managed")));
    }
    Value::from_pairs(variables)
}

fn moment(time: Timestamp) -> Value {
    Value::from_object(Moment(TimeZone::system().to_datetime(time)))
}

fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// The name of a user of this machine, or the number.
fn owner(uid: u32) -> Value {
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid.to_string()).then(|| name.to_owned())
    });
    name.map_or_else(|| Value::from(uid), Value::from)
}
