//! kup-play runs Ansible playbooks over ssh without Python on the hosts, and
//! knows Kubernetes. `docs/architecture.md` has the picture of the whole;
//! modules are listed from the outside in, and each uses only those below it.

pub mod actions;
pub mod agent;
pub mod events;
pub mod inventory;
pub mod modules;
pub mod playbook;
pub mod secret;
pub mod source;
pub mod template;
pub mod transport;
