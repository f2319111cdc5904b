//! `kubeadm upgrade plan`: a table up to 1.24, JSON of two shapes after that.

use serde::Serialize;
use serde_json::{Value as Json, json};

use super::{Kubeadm, preflight};
use crate::modules::{Context, Failure, Outcome};

impl Kubeadm {
    pub(super) fn plan(&self, context: &Context) -> Result<Outcome, Failure> {
        let program = self.program_version(context)?;
        let mut words = ["upgrade", "plan"].map(str::to_owned).to_vec();
        if self.version.is_some() {
            // With a version kubeadm does not ask the internet for one.
            words.push(format!("v{}", self.target()?));
        }
        words.extend(self.common_flags(program)?);
        if program.minor >= 25 {
            words.push("-o=json".to_owned());
        }
        let output = self.must(self.process(context, &words), "upgrade plan")?;
        let plan = parse(&output.stdout).map_err(Failure::new)?;
        Ok(Outcome::default()
            .with("components", json!(plan.components))
            .with("manual_upgrades", json!(plan.manual))
            .with("preflight", json!(preflight::findings(&output.stderr)))
            .with("stdout", output.stdout)
            .with("stderr", output.stderr))
    }
}

/// What the plan says.
#[derive(Debug, Default, PartialEq)]
pub struct Plan {
    pub components: Vec<Component>,
    /// Groups of component configuration that must be upgraded by hand.
    pub manual: Vec<String>,
}

#[derive(Debug, PartialEq, Serialize)]
pub struct Component {
    pub name: String,
    /// None when the component is not there.
    pub current: Option<String>,
    pub target: String,
    /// Only of kubelets, up to 1.29: how many run `current`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// From 1.30 on: the node that it runs on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
}

/// Reads either form.
pub fn parse(stdout: &str) -> Result<Plan, String> {
    // Up to 1.29 lines of text come before the JSON.
    if let Some(json) = stdout.find("\n{").map(|at| at + 1).or(stdout.starts_with('{').then_some(0))
    {
        let text = stdout.get(json..).unwrap_or_default();
        let mut values = serde_json::Deserializer::from_str(text).into_iter::<Json>();
        return match values.next() {
            Some(Ok(value)) => Ok(of_json(&value)),
            _ => Err("kubeadm upgrade plan printed JSON that cannot be read".to_owned()),
        };
    }
    let plan = of_table(stdout);
    // No table at all: kubeadm found nothing newer.
    if plan.components.is_empty() && !stdout.contains("[upgrade/versions]") {
        return Err("kubeadm upgrade plan printed no table of components".to_owned());
    }
    Ok(plan)
}

fn of_json(value: &Json) -> Plan {
    let text = |value: &Json, key: &str| {
        value.get(key).and_then(Json::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
    };
    let component = |value: &Json| {
        Some(Component {
            name: text(value, "name")?,
            current: text(value, "currentVersion"),
            target: text(value, "newVersion")?,
            count: None,
            node: text(value, "nodeName"),
        })
    };
    let list = |value: &Json, key: &str| -> Vec<Json> {
        value.get(key).and_then(Json::as_array).cloned().unwrap_or_default()
    };
    let mut components: Vec<_> = list(value, "components").iter().filter_map(component).collect();
    for upgrade in list(value, "availableUpgrades") {
        components.extend(list(&upgrade, "components").iter().filter_map(component));
    }
    let manual = list(value, "configVersions")
        .iter()
        .filter(|config| config.get("manualUpgradeRequired") == Some(&Json::Bool(true)))
        .filter_map(|config| text(config, "group"))
        .collect();
    Plan { components, manual }
}

/// A table has its headings, and columns that begin where these do.
struct Table {
    columns: Vec<(&'static str, usize)>,
}

/// The headings of all versions; the third is AVAILABLE up to 1.20, then TARGET, and NODE
/// came with 1.30.
const HEADINGS: [&str; 9] = [
    "COMPONENT",
    "NODE",
    "CURRENT VERSION",
    "PREFERRED VERSION",
    "MANUAL UPGRADE REQUIRED",
    "API GROUP",
    "CURRENT",
    "AVAILABLE",
    "TARGET",
];

impl Table {
    fn of(line: &str) -> Option<Self> {
        if !line.starts_with("COMPONENT ") && !line.starts_with("API GROUP ") {
            return None;
        }
        let mut columns: Vec<(&str, usize)> = Vec::new();
        for heading in HEADINGS {
            if let Some(at) = line.find(heading)
                && columns.iter().all(|(_, other)| *other != at)
            {
                columns.push((heading, at));
            }
        }
        columns.sort_by_key(|(_, at)| *at);
        Some(Self { columns })
    }

    fn field<'a>(&self, line: &'a str, heading: &str) -> &'a str {
        let Some(index) = self.columns.iter().position(|(name, _)| *name == heading) else {
            return "";
        };
        let from = self.columns.get(index).map_or(0, |(_, at)| *at);
        let to = self.columns.get(index + 1).map_or(line.len(), |(_, at)| *at).min(line.len());
        line.get(from.min(to)..to).unwrap_or_default().trim()
    }
}

fn of_table(stdout: &str) -> Plan {
    let mut plan = Plan::default();
    let mut table: Option<Table> = None;
    for line in stdout.lines() {
        if let Some(begun) = Table::of(line) {
            table = Some(begun);
        } else if line.trim().is_empty() || line.starts_with("___") {
            table = None;
        } else if let Some(table) = &table {
            let field = |heading: &str| table.field(line, heading);
            if !field("API GROUP").is_empty() {
                if field("MANUAL UPGRADE REQUIRED") == "yes" {
                    plan.manual.push(field("API GROUP").to_owned());
                }
                continue;
            }
            let target = [field("TARGET"), field("AVAILABLE")].concat();
            // Several versions of kubelets: the name stands in the first row alone.
            let name = match (field("COMPONENT"), plan.components.last()) {
                ("", Some(last)) => last.name.clone(),
                (name, _) => name.to_owned(),
            };
            plan.components.push(row(&name, field("NODE"), field("CURRENT"), target));
        }
    }
    plan
}

/// `2 x v1.20.2` counts kubelets; `kubelet (w1)` names the node.
fn row(name: &str, node: &str, current: &str, target: String) -> Component {
    let (count, current) = match current.split_once(" x ") {
        Some((count, version)) => (count.trim().parse().ok(), version),
        None => (None, current),
    };
    let (name, in_brackets) = match name.split_once(" (") {
        Some((name, node)) => (name, node.trim_end_matches(')')),
        None => (name, ""),
    };
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Component {
        name: name.to_owned(),
        current: some(current),
        target,
        count,
        node: some(node).or_else(|| some(in_brackets)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn component<'a>(plan: &'a Plan, name: &str) -> &'a Component {
        plan.components.iter().find(|component| component.name == name).expect(name)
    }

    #[test]
    fn the_table_of_1_21_is_read_with_its_gaps() {
        let plan =
            parse(include_str!("../../../tests/data/kubeadm/1.21.2-plan.txt")).expect("a plan");
        let kubelet = component(&plan, "kubelet");
        assert_eq!((kubelet.count, kubelet.current.as_deref()), (Some(2), Some("v1.20.2")));
        let apiserver = component(&plan, "kube-apiserver");
        assert_eq!(apiserver.target, "v1.21.2");
        assert_eq!(component(&plan, "CoreDNS").current, None);
        assert_eq!(plan.manual, Vec::<String>::new());
    }

    #[test]
    fn json_after_lines_of_text_is_read_in_both_shapes() {
        let old = "[upgrade] Running cluster health checks\n{\"kind\":\"UpgradePlan\",\"components\":[{\"name\":\"kube-apiserver\",\"currentVersion\":\"v1.27.3\",\"newVersion\":\"v1.28.1\"}],\"configVersions\":[{\"group\":\"kubelet.config.k8s.io\",\"manualUpgradeRequired\":true}]}";
        let plan = parse(old).expect("a plan");
        assert_eq!(component(&plan, "kube-apiserver").target, "v1.28.1");
        assert_eq!(plan.manual, ["kubelet.config.k8s.io"]);
        let new = "{\"kind\":\"UpgradePlan\",\"availableUpgrades\":[{\"description\":\"x\",\"components\":[{\"name\":\"etcd\",\"currentVersion\":\"3.5.10-0\",\"newVersion\":\"3.5.12-0\"}]}]}";
        let plan = parse(new).expect("a plan");
        assert_eq!(component(&plan, "etcd").current.as_deref(), Some("3.5.10-0"));
    }

    #[test]
    fn a_cluster_with_its_dns_and_one_without_news_are_read() {
        let text = include_str!("../../../tests/data/kubeadm/1.21.2-plan-coredns.txt");
        let plan = parse(text).expect("a plan");
        assert_eq!(component(&plan, "CoreDNS").current.as_deref(), Some("1.7.0"));
        assert_eq!(plan.components.len(), 7);
        let text = include_str!("../../../tests/data/kubeadm/1.20.2-plan-up-to-date.txt");
        assert_eq!(parse(text), Ok(Plan::default()));
    }

    #[test]
    fn kubelets_of_several_versions_have_a_row_each() {
        let text = include_str!("../../../tests/data/kubeadm/1.28-plan.txt");
        let kubelets: Vec<_> = parse(text)
            .expect("a plan")
            .components
            .into_iter()
            .filter(|component| component.name == "kubelet")
            .map(|component| (component.count, component.current.unwrap_or_default()))
            .collect();
        assert_eq!(kubelets, [(Some(1), "v1.27.3".to_owned()), (Some(2), "v1.27.4".to_owned())]);
    }

    #[test]
    fn from_1_30_on_the_nodes_are_named() {
        let table =
            parse(include_str!("../../../tests/data/kubeadm/1.30.5-plan.txt")).expect("text");
        let json =
            parse(include_str!("../../../tests/data/kubeadm/1.30-plan-json.txt")).expect("JSON");
        for plan in [&table, &json] {
            let kubelet = component(plan, "kubelet");
            assert_eq!(kubelet.node.as_deref(), Some("cp1"));
            assert_eq!(kubelet.current.as_deref().map(|version| &version[..5]), Some("v1.29"));
            assert_eq!(&kubelet.target[..5], "v1.30");
            assert!(component(plan, "etcd").target.starts_with("3.5.1"));
        }
        let apiservers = table.components.iter().filter(|c| c.name == "kube-apiserver");
        let nodes: Vec<_> = apiservers.filter_map(|component| component.node.as_deref()).collect();
        assert_eq!(nodes, ["cp1", "cp2", "cp3"]);
    }

    #[test]
    fn the_table_of_1_36_is_read() {
        let plan =
            parse(include_str!("../../../tests/data/kubeadm/1.36.5-plan.txt")).expect("a plan");
        assert_eq!(plan.components.len(), 9);
        let proxy = component(&plan, "kube-proxy");
        assert_eq!(
            (proxy.current.as_deref(), &*proxy.target, &proxy.node),
            (Some("1.35.9"), "v1.36.5", &None)
        );
        assert_eq!(component(&plan, "etcd").node.as_deref(), Some("master"));
        assert_eq!(plan.manual, Vec::<String>::new());
    }

    #[test]
    fn something_else_is_an_error() {
        assert!(parse("nothing").is_err());
        assert!(parse("{broken").is_err());
    }
}
