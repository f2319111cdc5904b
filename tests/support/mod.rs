//! A cluster of the lab, and kup-play run on it.

pub mod apiserver;
pub mod busy;
pub mod kills;
pub mod objects;
pub mod runs;

use std::collections::HashMap;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

pub struct Lab {
    name: &'static str,
}

impl Lab {
    /// A cluster at its first version, as it was when it was new.
    pub fn fresh(name: &'static str, control_planes: usize, workers: usize) -> Self {
        let lab = Self { name };
        let exists = lab.command("status", &[]).status.success();
        if exists {
            lab.must("reset", &[]);
        } else {
            let (cps, ws) = (control_planes.to_string(), workers.to_string());
            lab.must("up", &["--control-planes", &cps, "--workers", &ws]);
        }
        lab
    }

    fn command(&self, command: &str, arguments: &[&str]) -> Output {
        Command::new("tests/lab/lab")
            .args([command, "--name", self.name])
            .args(arguments)
            .output()
            .expect("the lab")
    }

    fn must(&self, command: &str, arguments: &[&str]) -> String {
        let output = self.command(command, arguments);
        assert!(output.status.success(), "lab {command} {arguments:?}:\n{}", text(&output));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    pub fn hosts(&self) -> Vec<String> {
        let nodes = self.kubectl(&["get", "nodes", "-o", "name"]);
        nodes.lines().map(|line| line.trim_start_matches("node/").to_owned()).collect()
    }

    pub fn ssh(&self, host: &str, script: &str) -> String {
        self.must("ssh", &[host, script])
    }

    pub fn kubectl(&self, arguments: &[&str]) -> String {
        // kubectl runs on cp1: words with blanks or braces have to survive its shell.
        let quoted: Vec<_> =
            arguments.iter().map(|word| format!("'{}'", word.replace('\'', "'\\''"))).collect();
        let words: Vec<_> = quoted.iter().map(String::as_str).collect();
        self.must("kubectl", &words)
    }

    pub fn cut(&self, host: &str) {
        self.must("cut", &[host]);
    }

    pub fn heal(&self, host: &str) {
        self.must("heal", &[host]);
    }

    /// Off the network for a while.
    pub fn cut_for(&self, host: &str, time: std::time::Duration) {
        self.cut(host);
        std::thread::sleep(time);
        self.heal(host);
    }

    /// Whether a host answers.
    pub fn is_up(&self, host: &str) -> bool {
        self.command("ssh", &[host, "true"]).status.success()
    }

    /// Presses a host's button.
    pub fn start(&self, host: &str) {
        self.must("start", &[host]);
    }

    /// The host's power goes, and comes back.
    pub fn power_cycle(&self, host: &str) {
        self.must("kill", &[host]);
        self.must("start", &[host]);
    }

    /// Waits until a host's kubelet has spoken of late and its node is Ready.
    pub fn wait_ready(&self, host: &str) {
        self.kubectl_patiently(&["wait", "--for=condition=Ready", "node", host, "--timeout=180s"]);
    }

    /// While the apiserver comes back.
    fn kubectl_patiently(&self, arguments: &[&str]) {
        let quoted: Vec<_> = arguments.iter().map(|word| format!("'{word}'")).collect();
        let words: Vec<_> = quoted.iter().map(String::as_str).collect();
        self.wait_until(&arguments.join(" "), |lab| {
            lab.command("kubectl", &words).status.success()
        });
    }

    /// What a script says on every host.
    pub fn state(&self, script: &str) -> Vec<String> {
        self.hosts().iter().map(|host| self.ssh(host, script)).collect()
    }

    /// The kubelets' versions.
    pub fn versions(&self) -> Vec<String> {
        let path = "jsonpath={range .items[*]}{.status.nodeInfo.kubeletVersion}{\"\\n\"}{end}";
        let text = self.kubectl(&["get", "nodes", "-o", path]);
        text.lines().map(str::to_owned).collect()
    }

    pub fn cordoned(&self) -> Vec<String> {
        let path =
            "jsonpath={range .items[?(@.spec.unschedulable==true)]}{.metadata.name}{\"\\n\"}{end}";
        let text = self.kubectl(&["get", "nodes", "-o", path]);
        text.lines().map(str::to_owned).collect()
    }

    /// What nodes remember of having been cordoned by a run.
    pub fn memories(&self) -> String {
        let path = "jsonpath={.items[*].metadata.annotations.kup-play\\.dev/cordoned-before}";
        self.kubectl(&["get", "nodes", "-o", path])
    }

    /// The lock of the cluster, by its name.
    pub fn lease(&self) -> String {
        let lease = ["get", "lease", "kup-play", "--ignore-not-found", "-o", "name"];
        self.kubectl(&[&["-n", "kube-system"][..], &lease].concat())
    }

    /// Waits for two minutes at most.
    pub fn wait_until(&self, what: &str, seen: impl Fn(&Self) -> bool) {
        let came = (0..240).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(500));
            seen(self)
        });
        assert!(came, "it never came: {what}");
    }

    /// Objects of many kinds in a namespace of their own, and an app that runs.
    pub fn open_shop(&self) {
        self.apply(include_str!("../data/shop.yaml"));
        self.kubectl(&["-n", "shop", "rollout", "status", "deployment/web", "--timeout=180s"]);
        self.wait_until("the claim is bound", |lab| {
            lab.kubectl(&["-n", "shop", "get", "pvc", "data"]).contains("Bound")
        });
    }

    /// The app of three replicas, and its PodDisruptionBudget.
    pub fn start_app(&self) {
        self.apply(include_str!("../lab/app.yaml"));
        self.kubectl(&["rollout", "status", "deployment/app", "--timeout=180s"]);
    }

    /// `kubectl apply` of a text.
    pub fn apply(&self, text: &str) {
        let script = "kubectl --kubeconfig /etc/kubernetes/admin.conf apply -f -";
        // The apiservers of a cluster that has just booted come and go once more behind its
        // proxy, and a kind that is new takes a moment.
        let applied = (0..30).any(|attempt| {
            if attempt > 0 {
                std::thread::sleep(std::time::Duration::from_secs(2));
            }
            let mut file = tempfile::tempfile().expect("a file");
            std::io::Write::write_all(&mut file, text.as_bytes()).expect("written");
            std::io::Seek::rewind(&mut file).expect("rewound");
            Command::new("tests/lab/lab")
                .args(["ssh", "--name", self.name, "cp1", script])
                .stdin(file)
                .stdout(Stdio::null())
                .status()
                .expect("the lab")
                .success()
        });
        assert!(applied, "kubectl apply does not work of:\n{text}");
    }

    /// Every object that somebody wrote, as it was written; see [`objects`].
    pub fn objects(&self) -> objects::Objects {
        objects::of(&self.kubectl(&["get", &self.kinds(), "-A", "-o", "json"]))
    }

    fn kinds(&self) -> String {
        let names = self.kubectl(&["api-resources", "--verbs=list", "-o", "name"]);
        names.lines().filter(|name| objects::is_wanted(name)).collect::<Vec<_>>().join(",")
    }

    /// The objects are those of before, at the latest after a while.
    pub fn assert_objects(&self, before: &objects::Objects) {
        let mut differ = Vec::new();
        for _ in 0..20 {
            differ = objects::difference(before, &self.objects());
            if differ.is_empty() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_secs(3));
        }
        panic!("the objects differ:\n{}", differ.join("\n"));
    }

    /// Watches the app's ready pods through the API until it is asked for the result.
    pub fn watch_app(&self) -> Watch {
        // A watch ends when its apiserver does; the next one begins with the state of now.
        let script = "while :; do kubectl --kubeconfig /etc/kubernetes/admin.conf get deployment app \
            --watch -o 'jsonpath={.status.readyReplicas}{\"\\n\"}' 2>/dev/null; sleep 0.2; done";
        let seen = tempfile::NamedTempFile::new().expect("a file");
        let child = Command::new("tests/lab/lab")
            .args(["ssh", "--name", self.name, "cp1", script])
            .stdin(Stdio::null())
            .stdout(seen.reopen().expect("the file"))
            // A group of its own: the shell and the ssh below it end together.
            .process_group(0)
            .spawn()
            .expect("the lab");
        Watch { child, seen }
    }

    /// The arguments with this cluster's inventory.
    fn kup_command(&self, arguments: &[&str]) -> Command {
        let inventory = self.inventory();
        let mut command = Command::new(env!("CARGO_BIN_EXE_kup-play"));
        command.args(arguments).args(["-i", &inventory]).stdin(Stdio::null());
        command
    }

    /// As [`Lab::kup`], with these variables in its environment.
    pub fn kup_with(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
        let mut command = self.kup_command(arguments);
        command.envs(environment.iter().copied()).output().expect("kup-play")
    }

    pub fn kup(&self, arguments: &[&str]) -> Output {
        self.kup_command(arguments).output().expect("kup-play")
    }

    /// Whether a node is cordoned, false also while the apiserver is away.
    pub fn is_cordoned(&self, node: &str) -> bool {
        let path = "'jsonpath={.spec.unschedulable}'";
        let output = self.command("kubectl", &["get", "node", node, "-o", path]);
        output.status.success() && output.stdout.starts_with(b"true")
    }

    /// A run that loses a host for good once `when` is seen; the host is healed after it.
    pub fn lose(&self, host: &str, arguments: &[&str], when: impl Fn(&Self) -> bool) -> Output {
        let mut command = self.kup_command(arguments);
        let run = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("kup-play");
        let seen = (0..900).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(500));
            when(self)
        });
        if seen {
            self.cut(host);
        }
        let output = run.wait_with_output().expect("an end");
        self.heal(host);
        // Until its kubelet has spoken again the node is not Ready.
        self.kubectl(&["wait", "--for=condition=Ready", "node", host, "--timeout=180s"]);
        assert!(seen, "it never came to that point:\n{}", text(&output));
        output
    }

    /// Where its inventory is.
    pub fn inventory(&self) -> String {
        self.must("path", &["inventory"]).trim().to_owned()
    }

    pub fn kubeconfig(&self) -> String {
        self.must("path", &["kubeconfig"]).trim().to_owned()
    }

    pub fn spawn(&self, arguments: &[&str]) -> Child {
        self.kup_command(arguments).stdout(Stdio::null()).spawn().expect("kup-play")
    }
}

/// The counts of ready pods that were seen.
pub struct Watch {
    child: Child,
    seen: tempfile::NamedTempFile,
}

impl Watch {
    pub fn fewest_ready(mut self) -> u64 {
        run("kill", &["-TERM", "--", &format!("-{}", self.child.id())]);
        self.child.wait().expect("an end");
        let seen = std::fs::read_to_string(self.seen.path()).expect("what was seen");
        let counts: Vec<u64> = seen.lines().map(|line| line.parse().unwrap_or(0)).collect();
        assert!(counts.len() > 1, "nothing was seen of the app:\n{seen}");
        counts.into_iter().min().unwrap_or(0)
    }
}

pub fn run(program: &str, arguments: &[&str]) -> Output {
    Command::new(program).args(arguments).output().unwrap_or_else(|e| panic!("{program}: {e}"))
}

/// Ctrl-C.
pub fn interrupt(child: &Child) {
    run("kill", &["-INT", &child.id().to_string()]);
}

/// Both outputs.
pub fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// The counts of each host in the recap.
pub fn recap(text: &str) -> HashMap<String, HashMap<String, u64>> {
    let lines = text.lines().skip_while(|line| !line.starts_with("PLAY RECAP")).skip(1);
    lines
        .filter_map(|line| line.split_once(" : "))
        .map(|(host, counts)| {
            let counts = counts
                .split_whitespace()
                .filter_map(|field| field.split_once('='))
                .filter_map(|(name, count)| Some((name.to_owned(), count.parse().ok()?)))
                .collect();
            (host.trim().to_owned(), counts)
        })
        .collect()
}

pub fn find_file(folder: &Path, name: &str) -> Option<PathBuf> {
    for entry in std::fs::read_dir(folder).ok()?.flatten() {
        let path = entry.path();
        if path.is_dir() {
            if let Some(found) = find_file(&path, name) {
                return Some(found);
            }
        } else if path.file_name().is_some_and(|found| found == name) {
            return Some(path);
        }
    }
    None
}

pub fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).expect("the file").permissions().mode() & 0o7777
}
