//! `yum_repository`: files of yum's and dnf's repositories.

mod repofile;

use std::fs;
use std::path::Path;

use schemars::JsonSchema;
use serde::Deserialize;

use super::args::{Flag, HostPath, Text, TextList};
use super::files::{self, Attributes};
use super::mode::Mode;
use super::{Context, Diff, Failure, Module, Outcome};
use repofile::RepoFile;

/// Adds or removes a repository.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct YumRepository {
    /// The section of the file.
    name: Text,
    /// What it is called.
    description: Option<Text>,
    #[serde(default)]
    state: State,
    /// The file without `.repo`; without it the name.
    file: Option<Text>,
    #[serde(default = "folder")]
    reposdir: HostPath,
    #[serde(rename = "async")]
    asynchronous: Option<Flag>,
    bandwidth: Option<Text>,
    baseurl: Option<TextList>,
    cost: Option<Text>,
    countme: Option<Flag>,
    deltarpm_metadata_percentage: Option<Text>,
    deltarpm_percentage: Option<Text>,
    enabled: Option<Flag>,
    enablegroups: Option<Flag>,
    #[serde(alias = "excludepkgs")]
    exclude: Option<TextList>,
    failovermethod: Option<Text>,
    gpgcakey: Option<Text>,
    gpgcheck: Option<Flag>,
    gpgkey: Option<TextList>,
    http_caching: Option<Text>,
    include: Option<Text>,
    includepkgs: Option<TextList>,
    ip_resolve: Option<Text>,
    keepalive: Option<Flag>,
    keepcache: Option<Text>,
    metadata_expire: Option<Text>,
    metadata_expire_filter: Option<Text>,
    metalink: Option<Text>,
    mirrorlist: Option<Text>,
    mirrorlist_expire: Option<Text>,
    module_hotfixes: Option<Flag>,
    password: Option<Text>,
    priority: Option<Text>,
    protect: Option<Flag>,
    proxy: Option<Text>,
    proxy_password: Option<Text>,
    proxy_username: Option<Text>,
    repo_gpgcheck: Option<Flag>,
    retries: Option<Text>,
    s3_enabled: Option<Flag>,
    skip_if_unavailable: Option<Flag>,
    ssl_check_cert_permissions: Option<Flag>,
    #[serde(alias = "ca_cert")]
    sslcacert: Option<Text>,
    #[serde(alias = "client_cert")]
    sslclientcert: Option<Text>,
    #[serde(alias = "client_key")]
    sslclientkey: Option<Text>,
    #[serde(alias = "validate_certs")]
    sslverify: Option<Flag>,
    throttle: Option<Text>,
    timeout: Option<Text>,
    ui_repoid_vars: Option<Text>,
    username: Option<Text>,
    owner: Option<Text>,
    group: Option<Text>,
    mode: Option<Mode>,
}

fn folder() -> HostPath {
    HostPath("/etc/yum.repos.d".into())
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum State {
    #[default]
    Present,
    Absent,
}

impl Module for YumRepository {
    const NAME: &'static str = "yum_repository";
    const WRITES_FILES: bool = true;
    const SECRETS: &'static [&'static str] = &["password", "proxy_password"];

    fn run(self, context: &Context) -> Result<Outcome, Failure> {
        let present = self.state == State::Present;
        let missing = |what: &str| Err(Failure::new(format!("state is present but {what}")));
        if present && self.baseurl.is_none() && self.mirrorlist.is_none() && self.metalink.is_none()
        {
            return missing("any of the following are missing: baseurl, mirrorlist, metalink");
        }
        if present && self.description.is_none() {
            return missing("all of the following are missing: description");
        }
        if !self.reposdir.is_dir() {
            let msg = format!("Repo directory '{}' does not exist.", self.reposdir.display());
            return Err(Failure::new(msg));
        }
        let file = self.file.as_ref().unwrap_or(&self.name);
        let path = self.reposdir.join(format!("{}.repo", file.0));
        let text = if path.is_file() { read(&path)? } else { String::new() };
        let mut repos = RepoFile::read(&text);
        let before = repos.dump();
        repos.remove(&self.name.0);
        if present {
            repos.add(&self.name.0, self.settings());
        }
        let after = repos.dump();
        let mut changed = before != after;
        if changed && !context.check {
            write(&path, &repos, context)?;
        }
        if path.is_file() {
            let (owner, group, mode) = (self.owner.clone(), self.group.clone(), self.mode.clone());
            changed |= Attributes { owner, group, mode }.apply(&path, true, context.check)?;
        }
        let mut outcome = Outcome::changed(changed)
            .with("repo", self.name.0.clone())
            .with("state", if present { "present" } else { "absent" });
        let header = path.display().to_string();
        let (before_header, after_header) = (header.clone(), header);
        outcome = outcome.with_diff(Diff {
            before_header,
            after_header,
            before: before.into(),
            after: after.into(),
            ..Diff::default()
        });
        Ok(outcome)
    }
}

fn read(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path).map_err(|error| files::failed("cannot be read", path, &error))
}

fn write(path: &Path, repos: &RepoFile, context: &Context) -> Result<(), Failure> {
    if repos.is_empty() {
        return fs::remove_file(path).map_err(|error| {
            Failure::new(format!("Cannot remove empty repo file {}.", path.display()))
                .with("details", error.to_string())
        });
    }
    let text = repos.render();
    files::write(path, &mut text.as_bytes(), None, context.unsafe_writes).map_err(|failure| {
        Failure::new(format!("Problems handling file {}.", path.display()))
            .with("details", failure.msg)
    })
}

impl YumRepository {
    /// What the section holds, in the order of the names.
    fn settings(&self) -> Vec<(String, String)> {
        let text = |text: &Option<Text>| text.as_ref().map(|text| text.0.clone());
        let flag = |flag: &Option<Flag>| flag.map(|flag| i32::from(flag.0).to_string());
        let list = |list: &Option<TextList>, by: &str| list.as_ref().map(|list| list.0.join(by));
        let mut settings = vec![
            ("async", flag(&self.asynchronous)),
            ("bandwidth", text(&self.bandwidth)),
            ("baseurl", list(&self.baseurl, "\n")),
            ("cost", text(&self.cost)),
            ("countme", flag(&self.countme)),
            ("deltarpm_metadata_percentage", text(&self.deltarpm_metadata_percentage)),
            ("deltarpm_percentage", text(&self.deltarpm_percentage)),
            ("enabled", flag(&self.enabled)),
            ("enablegroups", flag(&self.enablegroups)),
            ("exclude", list(&self.exclude, " ")),
            ("failovermethod", text(&self.failovermethod)),
            ("gpgcakey", text(&self.gpgcakey)),
            ("gpgcheck", flag(&self.gpgcheck)),
            ("gpgkey", list(&self.gpgkey, "\n")),
            ("http_caching", text(&self.http_caching)),
            ("include", text(&self.include)),
            ("includepkgs", list(&self.includepkgs, " ")),
            ("ip_resolve", text(&self.ip_resolve)),
            ("keepalive", flag(&self.keepalive)),
            ("keepcache", text(&self.keepcache)),
            ("metadata_expire", text(&self.metadata_expire)),
            ("metadata_expire_filter", text(&self.metadata_expire_filter)),
            ("metalink", text(&self.metalink)),
            ("mirrorlist", text(&self.mirrorlist)),
            ("mirrorlist_expire", text(&self.mirrorlist_expire)),
            ("module_hotfixes", flag(&self.module_hotfixes)),
            ("name", text(&self.description)),
            ("password", text(&self.password)),
            ("priority", text(&self.priority)),
            ("protect", flag(&self.protect)),
            ("proxy", text(&self.proxy)),
            ("proxy_password", text(&self.proxy_password)),
            ("proxy_username", text(&self.proxy_username)),
            ("repo_gpgcheck", flag(&self.repo_gpgcheck)),
            ("retries", text(&self.retries)),
            ("s3_enabled", flag(&self.s3_enabled)),
            ("skip_if_unavailable", flag(&self.skip_if_unavailable)),
            ("ssl_check_cert_permissions", flag(&self.ssl_check_cert_permissions)),
            ("sslcacert", text(&self.sslcacert)),
            ("sslclientcert", text(&self.sslclientcert)),
            ("sslclientkey", text(&self.sslclientkey)),
            ("sslverify", flag(&self.sslverify)),
            ("throttle", text(&self.throttle)),
            ("timeout", text(&self.timeout)),
            ("ui_repoid_vars", text(&self.ui_repoid_vars)),
            ("username", text(&self.username)),
        ];
        settings.sort_by_key(|(name, _)| *name);
        settings.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_repository_is_added_once_and_removed_with_its_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let run = |state: &str| {
            let arguments = json!({
                "name": "epel", "description": "EPEL", "state": state, "reposdir": folder.path(),
                "baseurl": ["http://a/", "http://b/"], "gpgcheck": false, "exclude": ["x", "y"]
            });
            let module: YumRepository = serde_json::from_value(arguments).expect("arguments");
            module.run(&Context::default()).expect("done").changed
        };
        assert!(run("present") && !run("present"));
        let path = folder.path().join("epel.repo");
        assert_eq!(
            fs::read_to_string(&path).expect("read"),
            "[epel]\nbaseurl = http://a/\n\thttp://b/\nexclude = x y\ngpgcheck = 0\nname = EPEL\n\n"
        );
        assert!(run("absent") && !run("absent") && !path.exists());
    }
}
