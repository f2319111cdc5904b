//! `iptables`: rules, chains and policies of the kernel's packet filter.

use schemars::JsonSchema;
use serde::Deserialize;

use super::args::{Flag, Text, TextList};
use super::process::Output;
use super::{Context, Failure, Module, Outcome, tools};

/// Keeps a rule in a chain.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Iptables {
    #[serde(default)]
    table: Table,
    #[serde(default)]
    state: State,
    /// Whether a new rule comes last or first.
    #[serde(default)]
    action: Place,
    #[serde(default)]
    ip_version: Version,
    chain: Option<Text>,
    rule_num: Option<Text>,
    protocol: Option<Text>,
    wait: Option<Text>,
    source: Option<Text>,
    to_source: Option<Text>,
    destination: Option<Text>,
    to_destination: Option<Text>,
    #[serde(default, rename = "match")]
    matches: TextList,
    tcp_flags: Option<TcpFlags>,
    jump: Option<Text>,
    gateway: Option<Text>,
    log_prefix: Option<Text>,
    log_level: Option<Text>,
    goto: Option<Text>,
    in_interface: Option<Text>,
    out_interface: Option<Text>,
    fragment: Option<Text>,
    set_counters: Option<Text>,
    source_port: Option<Text>,
    destination_port: Option<Text>,
    #[serde(default)]
    destination_ports: TextList,
    to_ports: Option<Text>,
    set_dscp_mark: Option<Text>,
    set_dscp_mark_class: Option<Text>,
    comment: Option<Text>,
    #[serde(default)]
    ctstate: TextList,
    src_range: Option<Text>,
    dst_range: Option<Text>,
    match_set: Option<Text>,
    match_set_flags: Option<Text>,
    limit: Option<Text>,
    limit_burst: Option<Text>,
    uid_owner: Option<Text>,
    gid_owner: Option<Text>,
    reject_with: Option<Text>,
    icmp_type: Option<Text>,
    #[serde(default)]
    syn: Syn,
    /// Remove all rules of the chain.
    #[serde(default)]
    flush: Flag,
    policy: Option<Policy>,
    /// Make and remove chains too.
    #[serde(default)]
    chain_management: Flag,
    /// Do not ask for names when listing.
    #[serde(default)]
    numeric: Flag,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TcpFlags {
    flags: Option<TextList>,
    flags_set: Option<TextList>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Table {
    #[default]
    Filter,
    Nat,
    Mangle,
    Raw,
    Security,
}

impl Table {
    fn word(self) -> &'static str {
        match self {
            Self::Filter => "filter",
            Self::Nat => "nat",
            Self::Mangle => "mangle",
            Self::Raw => "raw",
            Self::Security => "security",
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum State {
    #[default]
    Present,
    Absent,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Place {
    #[default]
    Append,
    Insert,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Version {
    #[default]
    Ipv4,
    Ipv6,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Syn {
    #[default]
    Ignore,
    Match,
    Negate,
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
enum Policy {
    Accept,
    Drop,
    Queue,
    Return,
}

impl Policy {
    fn word(self) -> &'static str {
        match self {
            Self::Accept => "ACCEPT",
            Self::Drop => "DROP",
            Self::Queue => "QUEUE",
            Self::Return => "RETURN",
        }
    }
}

impl Module for Iptables {
    const NAME: &'static str = "iptables";

    fn run(mut self, context: &Context) -> Result<Outcome, Failure> {
        self.validate()?;
        let rule = Rule::of(&self).join(" ");
        let present = self.state == State::Present;
        let mut outcome = Outcome::default()
            .with("ip_version", if self.ip_version == Version::Ipv4 { "ipv4" } else { "ipv6" })
            .with("table", self.table.word())
            .with("chain", self.chain.as_ref().map(|chain| chain.0.clone()))
            .with("flush", self.flush.0)
            .with("rule", rule.clone())
            .with("state", if present { "present" } else { "absent" })
            .with("chain_management", self.chain_management.0);
        tools::program(context, self.program())?;
        if self.log_prefix.is_some() || self.log_level.is_some() {
            match &self.jump {
                None => self.jump = Some(Text("LOG".to_owned())),
                Some(jump) if jump.0 == "LOG" => {}
                Some(_) => {
                    let msg = "Logging options can only be used with the LOG jump target.";
                    return Err(Failure::new(msg));
                }
            }
        }
        self.fit_wait(context)?;
        outcome.changed = if self.flush.0 {
            self.act("-F", &[], context)?;
            true
        } else if let Some(policy) = self.policy {
            let changed = self.current_policy(context)? != policy.word();
            if changed {
                self.act("-P", &[policy.word().to_owned()], context)?;
            }
            changed
        } else if rule.is_empty() {
            self.keep_chain(present, context)?
        } else {
            self.keep_rule(present, context)?
        };
        Ok(outcome)
    }
}

impl Iptables {
    fn validate(&self) -> Result<(), Failure> {
        let refuse = |msg: &str| Err(Failure::new(msg));
        if self.set_dscp_mark.is_some() && self.set_dscp_mark_class.is_some() {
            return refuse("parameters are mutually exclusive: set_dscp_mark|set_dscp_mark_class");
        }
        if self.flush.0 && self.policy.is_some() {
            return refuse("parameters are mutually exclusive: flush|policy");
        }
        for (name, given) in [
            ("set_dscp_mark", self.set_dscp_mark.is_some()),
            ("set_dscp_mark_class", self.set_dscp_mark_class.is_some()),
        ] {
            if given && self.jump.is_none() {
                return refuse(&format!("missing parameter(s) required by '{name}': jump"));
            }
        }
        if let Some(jump) =
            self.jump.as_ref().filter(|jump| matches!(jump.0.as_str(), "TEE" | "tee"))
            && self.gateway.is_none()
        {
            let jump = &jump.0;
            return refuse(&format!(
                "jump is {jump} but all of the following are missing: gateway"
            ));
        }
        if !self.flush.0 && self.chain.is_none() {
            return refuse("flush is False but all of the following are missing: chain");
        }
        Ok(())
    }

    fn program(&self) -> &'static str {
        match self.ip_version {
            Version::Ipv4 => "iptables",
            Version::Ipv6 => "ip6tables",
        }
    }

    fn command(&self, action: &str, more: &[String], context: &Context) -> Result<Output, Failure> {
        let mut command = tools::command(context, self.program())?;
        command = command.args(["-t", self.table.word(), action]);
        if let Some(chain) = &self.chain {
            command = command.arg(&chain.0);
        }
        command.args(more).run()
    }

    /// Changes something; not in check mode.
    fn act(&self, action: &str, more: &[String], context: &Context) -> Result<(), Failure> {
        if context.check {
            return Ok(());
        }
        must(self.command(action, more, context)?).map(drop)
    }

    /// What old versions do not know of waiting is left out.
    fn fit_wait(&mut self, context: &Context) -> Result<(), Failure> {
        let output = must(tools::command(context, self.program())?.arg("--version").run()?)?;
        let text = output.stdout.split_once('v').map(|(_, version)| version.trim());
        let version: Vec<u32> = text
            .unwrap_or_default()
            .split(|c: char| !c.is_ascii_digit())
            .map_while(|part| part.parse().ok())
            .collect();
        if version.as_slice() < [1, 4, 20].as_slice() {
            self.wait = None;
        } else if version.as_slice() < [1, 6, 0].as_slice() {
            self.wait = Some(Text::default());
        }
        Ok(())
    }

    fn listed(&self, context: &Context) -> Result<Output, Failure> {
        let more: Vec<String> =
            self.numeric.0.then(|| "--numeric".to_owned()).into_iter().collect();
        self.command("-L", &more, context)
    }

    fn current_policy(&self, context: &Context) -> Result<String, Failure> {
        let output = must(self.listed(context)?)?;
        let first = output.stdout.lines().next().unwrap_or_default();
        let policy = first.split_once("(policy ").and_then(|(_, rest)| {
            rest.split(|c: char| !c.is_ascii_uppercase()).next().filter(|word| !word.is_empty())
        });
        policy.map(str::to_owned).ok_or_else(|| Failure::new("Can't detect current policy"))
    }

    fn keep_chain(&self, present: bool, context: &Context) -> Result<bool, Failure> {
        let there = self.listed(context)?.success();
        if there != present && self.chain_management.0 {
            self.act(if present { "-N" } else { "-X" }, &[], context)?;
        }
        Ok(there != present)
    }

    fn keep_rule(&self, present: bool, context: &Context) -> Result<bool, Failure> {
        let rule = Rule::of(self);
        let there = self.command("-C", &rule, context)?.success();
        if there == present {
            return Ok(false);
        }
        match (present, self.action) {
            (true, Place::Append) => self.act("-A", &rule, context)?,
            (true, Place::Insert) => {
                let number = self.rule_num.iter().map(|number| number.0.clone());
                let all: Vec<String> = number.chain(rule).collect();
                self.act("-I", &all, context)?;
            }
            (false, _) => self.act("-D", &rule, context)?,
        }
        Ok(true)
    }
}

fn must(output: Output) -> Result<Output, Failure> {
    if output.success() {
        return Ok(output);
    }
    Err(Failure::new(output.stderr.trim_end())
        .with("rc", output.rc)
        .with("stdout", output.stdout)
        .with("stderr", output.stderr))
}

/// A rule as arguments.
struct Rule(Vec<String>);

impl Rule {
    fn of(task: &Iptables) -> Vec<String> {
        let mut rule = Self(Vec::new());
        rule.addresses(task);
        rule.targets(task);
        rule.ports_and_marks(task);
        rule.states_and_ranges(task);
        rule.limits_and_owners(task);
        rule.0
    }

    fn words(&mut self, words: &[&str]) {
        self.0.extend(words.iter().map(|word| (*word).to_owned()));
    }

    /// A value that begins with `!` is negated.
    fn add(&mut self, value: &Option<Text>, option: &str) {
        if let Some(value) = value.as_ref().map(|value| value.0.as_str()) {
            match value.strip_prefix('!') {
                Some(rest) => self.words(&["!", option, rest]),
                None => self.words(&[option, value]),
            }
        }
    }

    fn list(&mut self, values: &TextList, option: &str) {
        if !values.0.is_empty() {
            self.words(&[option, &values.0.join(",")]);
        }
    }

    fn extension(&mut self, wanted: bool, name: &str) {
        if wanted {
            self.words(&["-m", name]);
        }
    }

    fn addresses(&mut self, task: &Iptables) {
        if let Some(wait) = task.wait.as_ref().filter(|wait| !wait.0.is_empty()) {
            self.words(&["-w", &wait.0]);
        }
        self.add(&task.protocol, "-p");
        self.add(&task.source, "-s");
        self.add(&task.destination, "-d");
        for name in &task.matches.0 {
            self.add(&Some(Text(name.clone())), "-m");
        }
        if let Some(TcpFlags { flags: Some(flags), flags_set: Some(set) }) = &task.tcp_flags {
            self.words(&["--tcp-flags", &flags.0.join(","), &set.0.join(",")]);
        }
    }

    fn targets(&mut self, task: &Iptables) {
        self.add(&task.jump, "-j");
        if task.jump.as_ref().is_some_and(|jump| jump.0.eq_ignore_ascii_case("tee")) {
            self.add(&task.gateway, "--gateway");
        }
        self.add(&task.log_prefix, "--log-prefix");
        self.add(&task.log_level, "--log-level");
        self.add(&task.to_destination, "--to-destination");
        self.extension(!task.destination_ports.0.is_empty(), "multiport");
        self.list(&task.destination_ports, "--dports");
        self.add(&task.to_source, "--to-source");
        self.add(&task.goto, "-g");
        self.add(&task.in_interface, "-i");
        self.add(&task.out_interface, "-o");
        self.add(&task.fragment, "-f");
        self.add(&task.set_counters, "-c");
    }

    fn ports_and_marks(&mut self, task: &Iptables) {
        self.add(&task.source_port, "--source-port");
        self.add(&task.destination_port, "--destination-port");
        self.add(&task.to_ports, "--to-ports");
        let marks = task.jump.as_ref().is_some_and(|jump| jump.0.eq_ignore_ascii_case("dscp"));
        for (mark, option) in
            [(&task.set_dscp_mark, "--set-dscp"), (&task.set_dscp_mark_class, "--set-dscp-class")]
        {
            self.add(mark, option);
            if mark.is_some() && !marks {
                self.words(&["-j", "DSCP"]);
            }
        }
        match task.syn {
            Syn::Ignore => {}
            Syn::Match => self.words(&["--syn"]),
            Syn::Negate => self.words(&["!", "--syn"]),
        }
    }

    fn states_and_ranges(&mut self, task: &Iptables) {
        let has = |name: &str| task.matches.0.iter().any(|own| own == name);
        if has("conntrack") {
            self.list(&task.ctstate, "--ctstate");
        } else if has("state") {
            self.list(&task.ctstate, "--state");
        } else {
            self.extension(!task.ctstate.0.is_empty(), "conntrack");
            self.list(&task.ctstate, "--ctstate");
        }
        let ranges = task.src_range.is_some() || task.dst_range.is_some();
        self.extension(ranges && !has("iprange"), "iprange");
        self.add(&task.src_range, "--src-range");
        self.add(&task.dst_range, "--dst-range");
        self.extension(task.match_set.is_some() && !has("set"), "set");
        if task.match_set.is_some() || has("set") {
            self.add(&task.match_set, "--match-set");
            let flags = task.match_set_flags.as_ref().map(|flags| flags.0.clone());
            self.0.extend(flags);
        }
    }

    fn limits_and_owners(&mut self, task: &Iptables) {
        self.extension(task.limit.is_some() || task.limit_burst.is_some(), "limit");
        self.add(&task.limit, "--limit");
        self.add(&task.limit_burst, "--limit-burst");
        self.extension(task.uid_owner.is_some(), "owner");
        self.add(&task.uid_owner, "--uid-owner");
        self.extension(task.gid_owner.is_some(), "owner");
        self.add(&task.gid_owner, "--gid-owner");
        if task.jump.is_none() && task.reject_with.is_some() {
            self.words(&["-j", "REJECT"]);
        }
        self.add(&task.reject_with, "--reject-with");
        let icmp = match task.ip_version {
            Version::Ipv4 => "--icmp-type",
            Version::Ipv6 => "--icmpv6-type",
        };
        self.add(&task.icmp_type, icmp);
        self.extension(task.comment.is_some(), "comment");
        self.add(&task.comment, "--comment");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value as Json, json};

    fn rule(arguments: Json) -> String {
        Rule::of(&serde_json::from_value(arguments).expect("arguments")).join(" ")
    }

    #[test]
    fn rules_as_the_program_takes_them() {
        for (arguments, text) in [
            (
                json!({"chain": "INPUT", "protocol": "tcp", "destination_port": 6443, "jump": "ACCEPT", "comment": "api"}),
                "-p tcp -j ACCEPT --destination-port 6443 -m comment --comment api",
            ),
            (
                json!({"chain": "INPUT", "source": "!10.0.0.0/8", "ctstate": ["NEW", "RELATED"]}),
                "! -s 10.0.0.0/8 -m conntrack --ctstate NEW,RELATED",
            ),
            (
                json!({"chain": "INPUT", "protocol": "tcp", "destination_ports": ["80", "443:445"], "syn": "negate"}),
                "-p tcp -m multiport --dports 80,443:445 ! --syn",
            ),
            (
                json!({"chain": "INPUT", "reject_with": "tcp-reset"}),
                "-j REJECT --reject-with tcp-reset",
            ),
            (json!({"chain": "INPUT"}), ""),
        ] {
            assert_eq!(rule(arguments), text);
        }
    }

    #[test]
    fn what_does_not_go_together_is_refused() {
        let run = |arguments: Json| {
            let task: Iptables = serde_json::from_value(arguments).expect("arguments");
            task.run(&Context::default()).expect_err("refused").msg
        };
        let msg = run(json!({"jump": "ACCEPT"}));
        assert_eq!(msg, "flush is False but all of the following are missing: chain");
        let msg = run(json!({"chain": "X", "jump": "TEE"}));
        assert_eq!(msg, "jump is TEE but all of the following are missing: gateway");
    }
}
