//! `raw`: a command over the bare connection, without the agent.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Action, Context, Error, Failure, Outcome};
use crate::modules::output;

/// Runs a command through the host's shell without anything else on the host:
/// for hosts that cannot run the agent (yet).
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Raw {
    /// The command line.
    #[serde(alias = "cmd")]
    _raw_params: String,
    /// The shell to use; the user's own if not given.
    executable: Option<String>,
}

impl Action for Raw {
    const NAME: &'static str = "raw";
    const FREE_FORM: Option<&'static str> = Some("_raw_params");

    async fn run(self, context: &Context) -> Result<Outcome, Error> {
        if context.check {
            return Ok(Outcome::default().with("skipped", true));
        }
        let command = match &self.executable {
            Some(shell) => format!("{shell} -c {}", quote(&self._raw_params)?),
            None => self._raw_params.clone(),
        };
        let remote = &context.remote;
        let run = remote.pool.raw(&remote.endpoint, remote.become_.as_ref(), &command, &[]);
        let output = context.in_time("raw", run).await??;
        let outcome = Outcome::changed(true)
            .with("rc", output.rc)
            .with("stdout_lines", output::lines(&output.stdout))
            .with("stdout", output.stdout)
            .with("stderr_lines", output::lines(&output.stderr))
            .with("stderr", output.stderr);
        if output.rc == 0 {
            return Ok(outcome);
        }
        let msg = "non-zero return code".to_owned();
        Err(Failure { msg, changed: true, result: outcome.result }.into())
    }
}

fn quote(text: &str) -> Result<String, Error> {
    shlex::try_quote(text)
        .map(|quoted| quoted.into_owned())
        .map_err(|error| Error::failed(format!("the command cannot be quoted: {error}")))
}
