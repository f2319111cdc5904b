//! `gather_subset`: which families of facts, and which parts of the minimum.

use serde_json::{Map, Value as Json};

use crate::modules::Failure;

/// Facts of the minimum by the part that gathers them, and what that gathers them with.
struct Part {
    name: &'static str,
    /// Their names; `*` stands for what comes behind.
    facts: &'static [&'static str],
    needs: &'static [&'static str],
}

const fn part(
    name: &'static str,
    facts: &'static [&'static str],
    needs: &'static [&'static str],
) -> Part {
    Part { name, facts, needs }
}

const MINIMUM: [Part; 18] = [
    part("apparmor", &["apparmor"], &[]),
    part("caps", &["system_capabilities*"], &[]),
    part("cmdline", &["cmdline", "proc_cmdline"], &[]),
    part("date_time", &["date_time"], &[]),
    part("distribution", &["distribution*", "os_family"], &[]),
    part("dns", &["dns"], &[]),
    part("env", &["env"], &[]),
    part("fips", &["fips"], &[]),
    part("loadavg", &["loadavg"], &[]),
    part("local", &["local"], &[]),
    part("lsb", &["lsb"], &[]),
    part("pkg_mgr", &["pkg_mgr"], &["distribution"]),
    part(
        "platform",
        &[
            "architecture",
            "domain",
            "fqdn",
            "hostname",
            "kernel",
            "kernel_version",
            "machine",
            "machine_id",
            "nodename",
            "python_version",
            "system",
            "userspace_architecture",
            "userspace_bits",
        ],
        &[],
    ),
    part("python", &["python"], &[]),
    part("selinux", &["selinux*"], &[]),
    part("service_mgr", &["service_mgr"], &["platform", "distribution"]),
    part("ssh_pub_keys", &["ssh_host_key_*"], &[]),
    part("user", &["user_*", "real_*", "effective_*"], &[]),
];

/// The other families, the parts that belong to them, and the parts of the minimum that
/// are gathered with them.
const FAMILIES: [(&str, &[&str], &[&str]); 4] = [
    (
        "hardware",
        &[
            "devices",
            "mounts",
            "processor",
            "processor_cores",
            "processor_count",
            "memory",
            "dmi",
            "uptime",
        ],
        &["platform"],
    ),
    (
        "network",
        &["interfaces", "default_ipv4", "default_ipv6", "all_ipv4_addresses", "all_ipv6_addresses"],
        &["platform", "distribution"],
    ),
    ("systemd", &[], &[]),
    (
        "virtual",
        &[
            "virtualization_type",
            "virtualization_role",
            "virtualization_tech_guest",
            "virtualization_tech_host",
        ],
        &[],
    ),
];

/// Which facts are wanted.
#[derive(Debug)]
pub struct Subset<'a> {
    words: &'a [String],
}

impl<'a> Subset<'a> {
    pub fn of(words: &'a [String]) -> Result<Self, Failure> {
        let others = ["all", "min", "facter", "ohai"];
        let known = |word: &str| {
            others.contains(&word)
                || MINIMUM.iter().any(|part| part.name == word || part.gives(word))
                || FAMILIES
                    .iter()
                    .any(|(family, parts, _)| *family == word || parts.contains(&word))
        };
        // What is to be left out need not be known.
        let mut names = words.iter().filter(|word| !word.starts_with('!'));
        match names.find(|word| !known(word)) {
            Some(word) => Err(Failure::new(format!(
                "Bad subset '{word}' given to Ansible. gather_subset options allowed: all, min, \
                 hardware, network, systemd, virtual, {}",
                MINIMUM.map(|part| part.name).join(", ")
            ))),
            None => Ok(Self { words }),
        }
    }

    fn says(&self, word: &str) -> bool {
        self.words.iter().any(|other| other == word)
    }

    fn without(&self, word: &str) -> bool {
        self.words.iter().any(|other| other.strip_prefix('!') == Some(word))
    }

    /// Whether a family is wanted. Nothing but negations leaves the minimum.
    pub fn wants(&self, family: &str) -> bool {
        let parts = FAMILIES.iter().find(|(name, ..)| *name == family);
        let parts = parts.map_or(&[][..], |(_, parts, _)| parts);
        let named = self.says(family) || parts.iter().any(|part| self.says(part));
        let all = self.words.is_empty() || self.says("all");
        named || (all && !self.without("all") && !self.without(family))
    }

    /// Whether anything of the minimum is wanted, for itself or for what is gathered with it.
    pub fn wants_minimum(&self) -> bool {
        MINIMUM.iter().any(|part| self.wants_part(part))
    }

    fn wants_part(&self, part: &Part) -> bool {
        let named = |part: &Part| self.says(part.name) || self.words.iter().any(|w| part.gives(w));
        let needed =
            MINIMUM.iter().any(|other| other.needs.contains(&part.name) && self.wants_part(other))
                || FAMILIES
                    .iter()
                    .any(|(family, _, needs)| needs.contains(&part.name) && self.wants(family));
        named(part) || needed || !(self.without("min") || self.without(part.name))
    }

    /// Takes out of the minimum what is not wanted of it.
    pub fn reduce(&self, facts: &mut Map<String, Json>) {
        let unwanted: Vec<_> = MINIMUM.iter().filter(|part| !self.wants_part(part)).collect();
        facts.retain(|name, _| !unwanted.iter().any(|part| part.gives(name)));
    }
}

impl Part {
    fn gives(&self, fact: &str) -> bool {
        self.facts.iter().any(|name| match name.strip_suffix('*') {
            Some(start) => fact.starts_with(start),
            None => fact == *name,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(',').map(str::to_owned).collect()
    }

    /// The families that are wanted, and the first letters of the parts of the minimum.
    fn wanted(text: &str) -> String {
        let words = words(text);
        let subset = Subset::of(&words).expect("known words");
        let families = FAMILIES.iter().map(|(name, ..)| *name).filter(|name| subset.wants(name));
        let parts = MINIMUM.iter().filter(|part| subset.wants_part(part)).map(|part| part.name);
        let parts: Vec<_> = parts.collect();
        let parts = if parts.len() == MINIMUM.len() { vec!["min"] } else { parts };
        families.chain(parts).collect::<Vec<_>>().join(",")
    }

    #[test]
    fn families_and_parts_are_wanted_as_ansible_reads_the_words() {
        for (given, expected) in [
            ("all", "hardware,network,systemd,virtual,min"),
            ("!all", "min"),
            ("!hardware", "min"),
            ("network", "network,min"),
            ("all,!network", "hardware,systemd,virtual,min"),
            ("!hardware,network", "network,min"),
            ("!network,network", "network,min"),
            ("!all,!min", ""),
            ("!all,!min,network", "network,distribution,platform"),
            ("!all,!min,interfaces", "network,distribution,platform"),
            ("!all,!min,hardware", "hardware,platform"),
            ("!all,!min,pkg_mgr", "distribution,pkg_mgr"),
            ("!all,!min,user_id", "user"),
            ("!all,!min,service_mgr", "distribution,platform,service_mgr"),
        ] {
            assert_eq!(wanted(given), expected, "{given}");
        }
    }

    #[test]
    fn an_unknown_word_is_refused_unless_it_is_left_out() {
        let failure = Subset::of(&words("nosuch")).expect_err("unknown");
        assert!(failure.msg.starts_with("Bad subset 'nosuch' given to Ansible."));
        assert!(Subset::of(&words("!nosuch")).is_ok());
    }
}
