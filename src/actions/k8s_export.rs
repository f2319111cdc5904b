//! `k8s_export`: all objects of the cluster as YAML files on the controller.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Action, Context, Error, Outcome, cluster, files};
use crate::kubernetes::export;
use crate::modules::args::Flag;

/// Saves every object that can be listed, events and metrics apart.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct K8sExport {
    /// A folder on the controller; its files are for the operator alone.
    dest: String,
    /// Save Secrets too.
    #[serde(default = "yes")]
    secrets: Flag,
    kubeconfig: Option<String>,
    context: Option<String>,
}

fn yes() -> Flag {
    Flag(true)
}

impl Action for K8sExport {
    const NAME: &'static str = "k8s_export";
    const INTERRUPTIBLE: bool = true;

    async fn run(self, context: &Context) -> Result<Outcome, Error> {
        let dest = files::expand_home(&self.dest);
        let shown = dest.display().to_string();
        if context.check {
            return Ok(Outcome::changed(true).with("dest", shown));
        }
        let api = cluster::of(context, self.kubeconfig.as_deref(), self.context.as_deref()).await?;
        let objects = export::export(&api, &dest, self.secrets.0).await?;
        Ok(Outcome::changed(true).with("dest", shown).with("objects", objects))
    }
}
