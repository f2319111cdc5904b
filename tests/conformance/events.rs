//! The printed output as events, without what differs between any two runs.

use std::sync::LazyLock;

use regex::{Captures, Regex};
use serde_json::{Map, Value as Json, json};

/// `ok: [host -> other] => (item=x) => …` and the failing forms.
static RESULT: LazyLock<Regex> = LazyLock::new(|| {
    let pattern = r"^(?<word>ok|changed|skipping|failed|fatal|included): (?:\[(?<host>[^\]]+)\])?:?\s*(?<rest>.*)$";
    Regex::new(pattern).expect("a pattern")
});

/// What became of a job, told before the result of its host.
static JOB: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^(?<what>ASYNC \w+) on (?<host>\S+): ").expect("a pattern"));

static RECAP: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^(?<host>\S+)\s+: (?<counts>ok=.*)$").expect("a pattern"));

/// Names of temporary files and jobs.
static VOLATILE: LazyLock<Regex> = LazyLock::new(|| {
    let pattern = r"\S*/ansible-(?:local|tmp)\S*|j\d{6,}\.\d+|jid=\S+|/tmp/ansible\.\w+";
    Regex::new(pattern).expect("a pattern")
});

/// Keys of results whose values are of one run.
const VOLATILE_KEYS: &[&str] = &[
    "start",
    "end",
    "delta",
    "uuid",
    "atime",
    "mtime",
    "ctime",
    "inode",
    "dev",
    "version",
    "src",
    "ansible_job_id",
    "results_file",
    "discovered_interpreter_python",
    "exception",
    "pid",
    "elapsed",
    "backup_file",
];

/// Lines of which there are as many as the machine is slow.
const NOISE: &[&str] = &["ASYNC POLL"];

/// The events of an output, those of one task sorted by host.
pub fn parse(stdout: &str) -> Vec<Json> {
    let mut parser = Parser { lines: stdout.lines().collect(), at: 0 };
    let mut segments: Vec<Vec<Json>> = vec![Vec::new()];
    // Lines of a diff or of a prompt belong to the result that follows them.
    let mut before: Vec<Json> = Vec::new();
    while let Some(line) = parser.next() {
        if let Some(header) = header(line) {
            if segments.len() == 1 {
                // About versions and files of settings.
                before.clear();
            }
            segments.push(vec![json!({ "header": header })]);
        } else if let Some(event) = parser.result(line) {
            let mut event = event;
            without_explanation(&mut before);
            if !before.is_empty() {
                event["before"] = Json::Array(std::mem::take(&mut before));
            }
            push(&mut segments, event);
        } else if let Some(found) = JOB.captures(line) {
            push(&mut segments, json!({ "host": &found["host"], "line": &found["what"] }));
        } else if let Some(found) = RECAP.captures(line) {
            push(
                &mut segments,
                json!({ "host": &found["host"], "counts": found["counts"].trim() }),
            );
        } else if line == "...ignoring" {
            if let Some(last) = segments.last_mut().and_then(|segment| segment.last_mut()) {
                last["ignored"] = Json::Bool(true);
            }
        } else if !line.trim().is_empty() && !NOISE.iter().any(|part| line.contains(part)) {
            before.push(Json::String(without_volatile(line)));
        }
    }
    if segments.len() == 1 {
        before.clear();
    }
    for line in before {
        push(&mut segments, json!({ "line": line }));
    }
    for segment in &mut segments {
        segment.sort_by_key(|event| {
            let all = host(event);
            all.split_once(" -> ").map_or(all, |(host, _)| host).to_owned()
        });
    }
    segments.concat()
}

/// 2.19 tells a failure in lines of its own first, in words of its own.
fn without_explanation(lines: &mut Vec<Json>) {
    let begins = |line: &Json| line.as_str().is_some_and(|text| text.starts_with("[ERROR]"));
    if let Some(at) = lines.iter().position(begins) {
        lines.truncate(at);
    }
}

/// The events of each host alone, for strategies under which hosts do not wait.
pub fn by_host(events: &[Json]) -> Vec<Json> {
    let mut task = Json::Null;
    let mut sorted: Vec<Json> = Vec::new();
    for event in events {
        if let Some(header) = event.get("header") {
            task = header.clone();
        } else {
            let mut event = event.clone();
            event["task"] = task.clone();
            sorted.push(event);
        }
    }
    sorted.sort_by_key(|event| host(event).to_owned());
    sorted
}

fn push(segments: &mut [Vec<Json>], event: Json) {
    if let Some(segment) = segments.last_mut() {
        segment.push(event);
    }
}

fn host(event: &Json) -> &str {
    event.get("host").and_then(Json::as_str).unwrap_or_default()
}

/// `TASK [x]` of `TASK [x] *****`.
fn header(line: &str) -> Option<&str> {
    let text = line.trim_end_matches('*');
    (text.len() + 3 <= line.len()).then(|| text.trim_end())
}

struct Parser<'a> {
    lines: Vec<&'a str>,
    at: usize,
}

impl<'a> Parser<'a> {
    fn next(&mut self) -> Option<&'a str> {
        let line = self.lines.get(self.at).copied();
        self.at += 1;
        line
    }

    fn result(&mut self, line: &str) -> Option<Json> {
        let found = RESULT.captures(line)?;
        let mut event = Map::new();
        event.insert("word".to_owned(), found["word"].into());
        let host = found.name("host").map(|host| host.as_str());
        event.insert("host".to_owned(), host.unwrap_or_default().into());
        let (said, result) = self.value(&found["rest"]);
        event.insert("said".to_owned(), without_volatile(said.trim()).into());
        if let Some(result) = result {
            event.insert("result".to_owned(), result);
        }
        Some(Json::Object(event))
    }

    /// What stands before the result's JSON, and the JSON, which may take several lines.
    fn value(&mut self, rest: &str) -> (String, Option<Json>) {
        for (at, _) in rest.match_indices("=> {") {
            let (said, opened) = (&rest[..at], &rest[at + 3..]);
            let mut text = opened.to_owned();
            for next in self.at..=self.lines.len() {
                if let Ok(value) = serde_json::from_str(&text) {
                    self.at = next;
                    return (said.to_owned(), Some(cleaned(value)));
                }
                // A pretty result ends with a brace at the margin.
                match self.lines.get(next) {
                    Some(line) if opened == "{" && !line.is_empty() => {
                        text.push('\n');
                        text.push_str(line);
                    }
                    _ => break,
                }
            }
        }
        (rest.to_owned(), None)
    }
}

/// Ansible names its temporary copy of a file.
fn staged(key: &str, value: &Json) -> bool {
    let sent = |path: &str| path.contains("/.source") || path.ends_with("/ansible-tmp/src");
    key == "src" && value.as_str().is_some_and(sent)
}

fn cleaned(value: Json) -> Json {
    match value {
        Json::Object(map) => Json::Object(
            map.into_iter()
                .filter(|(key, value)| {
                    key != "discovered_interpreter_python" && !staged(key, value)
                })
                .map(|(key, value)| {
                    let volatile = VOLATILE_KEYS.contains(&key.as_str()) && !value.is_object();
                    (key, if volatile { "…".into() } else { cleaned(value) })
                })
                .collect(),
        ),
        Json::Array(list) => Json::Array(list.into_iter().map(cleaned).collect()),
        Json::String(text) => Json::String(without_volatile(&text)),
        other => other,
    }
}

fn without_volatile(text: &str) -> String {
    VOLATILE.replace_all(text, |_: &Captures| "…").into_owned()
}

/// Printed text without times, temporary names and numbers of objects.
pub fn without_times(text: &str) -> String {
    static TIMES: LazyLock<Regex> = LazyLock::new(|| {
        let pattern =
            r"\d{4}-\d\d-\d\d[ T][\d:.]+Z?|\d:\d\d:\d\d\.\d+|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]+";
        // The lines of profile_tasks and of timer, the first filled with as many stars as the
        // day's name leaves room for.
        let profile = r"|\w+ \d\d \w+ \d{4}  [\d:]+ \+0000|\d+\.\d\ds\b|\d+ seconds";
        Regex::new(&format!("{pattern}{profile}")).expect("a pattern")
    });
    static STAGED: LazyLock<Regex> = LazyLock::new(|| {
        let pattern = r#"(?m)^ +"?src"?: \S*/\.source\S*\n|"src": "[^"]*/\.source[^"]*", ?"#;
        Regex::new(pattern).expect("a pattern")
    });
    static FILLED: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"(?m)^(… \(…\) +… )\*+ ?$").expect("a pattern"));
    let text = STAGED.replace_all(text, "");
    let text = TIMES.replace_all(&text, |_: &Captures| "…");
    let text = FILLED.replace_all(&text, "$1*");
    text.lines().map(|line| without_volatile(line) + "\n").collect()
}
