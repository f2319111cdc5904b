//! The command that must accept a new file before it takes the place of the old one.

use std::path::Path;

use super::args::Text;
use super::process::{Output, Process};
use super::words::{expand_user, expand_variables, split};
use super::{Context, Failure};

/// Runs the command (`validate`) on a new file and says what it said; nothing where there is no
/// command. There is no shell between, but `~` and `$NAME` stand for what they are on the host.
pub fn judged(
    command: Option<&Text>,
    path: &Path,
    context: &Context,
) -> Result<Option<Output>, Failure> {
    let Some(command) = command.filter(|command| !command.0.is_empty()) else {
        return Ok(None);
    };
    if !command.0.contains("%s") {
        return Err(Failure::new(format!("validate must contain %s: {}", command.0)));
    }
    let words = split(&command.0).map_err(Failure::new)?;
    let (name, environment) = (path.to_string_lossy(), &context.environment);
    let mut words = words.iter().map(|word| {
        expand_user(&expand_variables(word, environment), environment).replace("%s", &name)
    });
    let program = words.next().unwrap_or_default();
    Process::new(program).args(words).in_context(context).run().map(Some)
}

/// Fails, with what the command said, where it does not accept the file.
pub fn accepted(command: Option<&Text>, path: &Path, context: &Context) -> Result<(), Failure> {
    match judged(command, path, context)? {
        Some(output) if !output.success() => Err(refused(&output)),
        _ => Ok(()),
    }
}

pub fn refused(output: &Output) -> Failure {
    Failure::new(format!("failed to validate: rc:{} error:{}", output.rc, output.stderr))
}
