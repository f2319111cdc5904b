//! `kubeadm upgrade plan`: a table up to 1.24, JSON of two shapes after that.

use serde::Serialize;
use serde_json::Value as Json;

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
    /// Only of kubelets: how many run `current`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
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
    if plan.components.is_empty() && !stdout.contains("up to date") {
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

/// Columns begin where their headings do.
fn of_table(stdout: &str) -> Plan {
    let mut plan = Plan::default();
    let mut columns: Option<(bool, Vec<usize>)> = None;
    for line in stdout.lines() {
        if line.starts_with("COMPONENT") {
            columns = Some((false, heads(line, &["CURRENT", "AVAILABLE", "TARGET"])));
        } else if line.starts_with("API GROUP") {
            columns = Some((
                true,
                heads(line, &["CURRENT VERSION", "PREFERRED VERSION", "MANUAL UPGRADE REQUIRED"]),
            ));
        } else if line.trim().is_empty() {
            columns = None;
        } else if let Some((configs, starts)) = &columns {
            let fields = cut(line, starts);
            match fields.as_slice() {
                [group, _, _, manual] if *configs => {
                    if *manual == "yes" {
                        plan.manual.push((*group).to_owned());
                    }
                }
                [name, current, target] if !*configs => {
                    plan.components.push(row(name, current, target))
                }
                _ => {}
            }
        }
    }
    plan
}

fn heads(line: &str, names: &[&str]) -> Vec<usize> {
    names.iter().filter_map(|name| line.find(name)).collect()
}

fn cut<'a>(line: &'a str, starts: &[usize]) -> Vec<&'a str> {
    let mut fields = Vec::new();
    let mut from = 0;
    for to in starts.iter().copied().chain([line.len()]) {
        fields.push(line.get(from..to.min(line.len())).unwrap_or_default().trim());
        from = to;
    }
    fields
}

/// A kubelet's row counts the nodes: `2 x v1.20.2`.
fn row(name: &str, current: &str, target: &str) -> Component {
    let (count, current) = match current.split_once(" x ") {
        Some((count, version)) => (count.trim().parse().ok(), version),
        None => (None, current),
    };
    let current = (!current.is_empty()).then(|| current.to_owned());
    Component { name: name.to_owned(), current, target: target.to_owned(), count }
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
    fn something_else_is_an_error() {
        assert!(parse("nothing").is_err());
        assert!(parse("{broken").is_err());
    }
}
