//! kup-play runs Ansible playbooks over ssh without Python on the hosts, and
//! knows Kubernetes. `docs/architecture.md` has the picture of the whole.

pub mod actions;
pub mod agent;
pub mod cli;
mod deadline;
pub mod engine;
pub mod events;
pub mod inventory;
pub mod journal;
pub mod kubernetes;
pub mod modules;
pub mod playbook;
pub mod precheck;
mod python_regex;
mod real_path;
pub mod report;
pub mod rollback;
pub mod secret;
pub mod settings;
pub mod source;
pub mod template;
pub mod transport;
pub mod vars;
pub mod vault;
