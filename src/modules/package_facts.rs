//! `package_facts`: the host's packages as facts.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

use super::args::TextList;
use super::{Context, Failure, Module, Outcome, tools};

/// Puts all installed packages into `ansible_facts.packages`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PackageFacts {
    /// Whose packages: `apt`, `rpm`, `apk`, or `auto`.
    #[serde(default = "auto")]
    manager: TextList,
    #[serde(default)]
    strategy: Strategy,
}

fn auto() -> TextList {
    TextList(vec!["auto".to_owned()])
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Strategy {
    All,
    #[default]
    First,
}

type Packages = Map<String, Json>;

/// A manager of packages, by the names that Ansible has for it.
struct Manager {
    names: &'static [&'static str],
    program: &'static str,
    list: fn(&Context) -> Result<Packages, Failure>,
}

const MANAGERS: &[Manager] = &[
    Manager { names: &["apk"], program: "apk", list: of_apk },
    Manager { names: &["apt"], program: "dpkg-query", list: of_apt },
    Manager { names: &["rpm", "yum", "dnf", "dnf5", "zypper"], program: "rpm", list: of_rpm },
];

/// Ansible knows these too.
const OTHERS: &[&str] = &["pacman", "pkg", "pkg5", "pkgng", "pkg_info", "openbsd_pkg", "portage"];

impl Module for PackageFacts {
    const NAME: &'static str = "package_facts";

    fn run(self, context: &Context) -> Result<Outcome, Failure> {
        let mut wanted: Vec<String> =
            self.manager.0.iter().map(|name| name.to_lowercase()).collect();
        let known =
            |name: &str| MANAGERS.iter().any(|m| m.names.contains(&name)) || OTHERS.contains(&name);
        let is_auto = wanted.iter().any(|name| name == "auto");
        let strange: Vec<_> =
            wanted.iter().filter(|name| *name != "auto" && !known(name)).cloned().collect();
        if !strange.is_empty() {
            let msg = format!("Unsupported package managers requested: {}", strange.join(", "));
            return Err(Failure::new(msg));
        }
        if is_auto {
            wanted.retain(|name| name != "auto");
            wanted.extend(MANAGERS.iter().filter_map(|m| m.names.first()).map(|n| (*n).to_owned()));
        }
        let mut packages = Packages::new();
        let (mut found, mut seen, mut warnings) = (0, Vec::new(), Vec::new());
        for name in &wanted {
            let manager = MANAGERS.iter().find(|manager| manager.names.contains(&name.as_str()));
            let own = manager.and_then(|manager| manager.names.first()).copied().unwrap_or(name);
            if self.strategy == Strategy::First && found > 0 || seen.contains(&own) {
                continue;
            }
            seen.push(own);
            match manager.filter(|manager| tools::find(context, manager.program).is_some()) {
                Some(manager) => {
                    found += 1;
                    match (manager.list)(context) {
                        Ok(listed) => packages.extend(listed),
                        Err(failure) => warnings.push(format!(
                            "Failed to retrieve packages with {own}: {}",
                            failure.msg
                        )),
                    }
                }
                None if self.manager.0.contains(name) => warnings.push(format!(
                    "Requested package manager {name} was not usable by this module: it is not \
                     on this host"
                )),
                None => {}
            }
        }
        if found == 0 {
            return Err(Failure::new(format!(
                "Could not detect a supported package manager from the following list: {}, or \
                 the required Python library is not installed. Check warnings for details.",
                python_list(&wanted)
            ))
            .with("warnings", json!(warnings)));
        }
        let outcome = Outcome::default().with("ansible_facts", json!({"packages": packages}));
        Ok(if warnings.is_empty() { outcome } else { outcome.with("warnings", json!(warnings)) })
    }
}

fn python_list(names: &[String]) -> String {
    let names: Vec<_> = names.iter().map(|name| format!("'{name}'")).collect();
    format!("[{}]", names.join(", "))
}

/// Adds a package; one that is installed more than once has several entries.
fn add(packages: &mut Packages, name: &str, entry: Json) {
    match packages.entry(name.to_owned()).or_insert_with(|| json!([])) {
        Json::Array(entries) => entries.push(entry),
        other => *other = json!([entry]),
    }
}

fn run(context: &Context, program: &str, arguments: &[&str]) -> Result<String, Failure> {
    let output = tools::command(context, program)?.args(arguments).run()?;
    if output.success() {
        return Ok(output.stdout);
    }
    let (rc, stderr) = (output.rc, output.stderr);
    Err(Failure::new(format!("Unable to list packages rc={rc} : {stderr}")))
}

fn of_apt(context: &Context) -> Result<Packages, Failure> {
    let format = "${db:Status-Status}\t${Package}\t${Version}\t${Architecture}\t${Section}\n";
    let listing = run(context, "dpkg-query", &["-W", "-f", format])?;
    let lines = listing.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    let installed: Vec<_> = lines.filter(|fields| fields.first() == Some(&"installed")).collect();
    let names: Vec<&str> = installed.iter().filter_map(|fields| fields.get(1).copied()).collect();
    let origins = Origins::of(&names, context);
    let mut packages = Packages::new();
    for fields in &installed {
        let [_, name, version, arch, section] = fields.as_slice() else { continue };
        let entry = json!({
            "name": name, "version": version, "arch": arch, "category": section,
            "origin": origins.get(name), "source": "apt",
        });
        add(&mut packages, name, entry);
    }
    Ok(packages)
}

/// From whom apt has its packages.
struct Origins(BTreeMap<String, String>);

impl Origins {
    fn of(names: &[&str], context: &Context) -> Self {
        let ask = |arguments: &[&str]| run(context, "apt-cache", arguments).unwrap_or_default();
        let releases = releases(&ask(&["policy"]));
        let mut arguments = vec!["policy"];
        arguments.extend(names);
        Self(installed_from(&ask(&arguments), &releases))
    }

    fn get(&self, name: &str) -> &str {
        self.0.get(name).map(String::as_str).unwrap_or_default()
    }
}

/// `500 http://…/debian bookworm/main amd64 Packages`, and below it `release …,o=Debian,…`
fn releases(policy: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut source = None;
    for line in policy.lines().map(str::trim) {
        if let Some(release) = line.strip_prefix("release ") {
            let origin = release.split(',').find_map(|field| field.trim().strip_prefix("o="));
            if let (Some(source), Some(origin)) = (source.take(), origin) {
                found.insert(source, origin.to_owned());
            }
        } else if let Some((priority, rest)) = line.split_once(' ')
            && priority.parse::<i32>().is_ok()
        {
            source = Some(rest.trim().to_owned());
        }
    }
    found
}

/// The origin of the first source that has the version that is installed (`***`).
fn installed_from(policy: &str, releases: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let (mut name, mut below) = ("", false);
    for line in policy.lines() {
        if !line.starts_with(' ') {
            name = line.trim_end_matches(':');
            below = false;
        } else if line.trim_start().starts_with("***") {
            below = true;
        } else if below {
            let source = line.trim().split_once(' ').map_or("", |(_, source)| source.trim());
            below = false;
            if let Some(origin) = releases.get(source) {
                found.insert(name.to_owned(), origin.clone());
            }
        }
    }
    found
}

fn of_rpm(context: &Context) -> Result<Packages, Failure> {
    let format = "%{NAME}\t%{VERSION}\t%{RELEASE}\t%{EPOCH}\t%{ARCH}\n";
    let listing = run(context, "rpm", &["-qa", "--qf", format])?;
    let mut packages = Packages::new();
    for line in listing.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let [name, version, release, epoch, arch] = fields.as_slice() else { continue };
        let none = |text: &str| if text == "(none)" { Json::Null } else { json!(text) };
        let epoch = epoch.parse::<i64>().map_or(Json::Null, Json::from);
        let entry = json!({
            "name": name, "version": version, "release": release, "epoch": epoch,
            "arch": none(arch), "source": "rpm",
        });
        add(&mut packages, name, entry);
    }
    Ok(packages)
}

fn of_apk(context: &Context) -> Result<Packages, Failure> {
    let listing = run(context, "apk", &["info", "-v"])?;
    let mut packages = Packages::new();
    for line in listing.lines() {
        let mut parts = line.trim().rsplitn(3, '-');
        let (Some(release), Some(version), Some(name)) = (parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        let entry = json!({"name": name, "version": version, "release": release, "source": "apk"});
        add(&mut packages, name, entry);
    }
    Ok(packages)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_known_by_where_it_came_from() {
        let policy = "Package files:\n 500 http://d/debian bookworm/main amd64 Packages\n     \
                      release v=12,o=Debian,a=stable\n     origin d\n";
        let releases = releases(policy);
        let of = "tar:\n  Installed: 1\n  Candidate: 2\n  Version table:\n     2 500\n        500 x\n \
                  *** 1 500\n        500 http://d/debian bookworm/main amd64 Packages\n        \
                  100 /var/lib/dpkg/status\nlocal:\n  Installed: 1\n  Version table:\n *** 1 100\n        \
                  100 /var/lib/dpkg/status\n";
        let found = installed_from(of, &releases);
        assert_eq!(found.get("tar").map(String::as_str), Some("Debian"));
        assert_eq!(found.get("local"), None);
    }

    #[test]
    fn managers_that_are_not_there_are_told() {
        let run = |manager: &str| {
            let module: PackageFacts =
                serde_json::from_value(json!({"manager": manager})).expect("arguments");
            module.run(&Context::default())
        };
        let msg = run("nosuch").expect_err("refused").msg;
        assert_eq!(msg, "Unsupported package managers requested: nosuch");
        let msg = run("pacman").expect_err("refused").msg;
        assert!(msg.starts_with("Could not detect a supported package manager"), "{msg}");
    }
}
