//! `debconf`: answers to the questions of Debian's packages.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

use super::args::{Flag, Text};
use super::{Context, Failure, Module, Outcome, tools};

/// Gives the answer to a package's question, or shows all answers.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Debconf {
    #[serde(alias = "pkg")]
    name: Text,
    #[serde(alias = "selection", alias = "setting")]
    question: Option<Text>,
    vtype: Option<Kind>,
    #[serde(alias = "answer")]
    value: Option<Json>,
    /// The question is asked all the same.
    #[serde(default)]
    unseen: Flag,
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Boolean,
    Error,
    Multiselect,
    Note,
    Password,
    Seen,
    Select,
    String,
    Text,
    Title,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Boolean => "boolean",
            Self::Error => "error",
            Self::Multiselect => "multiselect",
            Self::Note => "note",
            Self::Password => "password",
            Self::Seen => "seen",
            Self::Select => "select",
            Self::String => "string",
            Self::Text => "text",
            Self::Title => "title",
        }
    }
}

type Answers = Map<String, Json>;

impl Module for Debconf {
    const NAME: &'static str = "debconf";

    fn run(self, context: &Context) -> Result<Outcome, Failure> {
        let given = [self.question.is_some(), self.vtype.is_some(), self.value.is_some()];
        if given.contains(&true) && given.contains(&false) {
            return Err(Failure::new("parameters are required together: question, vtype, value"));
        }
        let answers = self.answers(context)?;
        let (Some(question), Some(kind), Some(value)) = (&self.question, self.vtype, &self.value)
        else {
            return Ok(Outcome::default().with("msg", "").with("current", answers));
        };
        let question = question.0.as_str();
        let wanted = wanted(kind, value)?;
        let old = answers.get(question).and_then(Json::as_str);
        let same = match old {
            None => false,
            Some(old) => {
                self.current(kind, question, old, value, context)? == sorted(kind, value, &wanted)
            }
        };
        if same {
            return Ok(Outcome::default().with("msg", "").with("current", answers));
        }
        let mut outcome = Outcome::changed(true).with("msg", "");
        if !context.check {
            outcome = outcome.with("msg", self.answer(question, kind, &wanted, context)?);
        }
        let shown = |text: &str| match kind {
            Kind::Password => json!("********"),
            _ => json!(text),
        };
        let mut previous = answers.clone();
        match old {
            Some(old) => previous = Map::from_iter([(question.to_owned(), shown(old))]),
            None => drop(previous.insert(question.to_owned(), json!(""))),
        }
        let current = Map::from_iter([(question.to_owned(), shown(&wanted))]);
        if context.diff {
            let mut after = previous.clone();
            after.extend(current.clone());
            outcome = outcome.with("diff", json!({"before": previous, "after": after}));
        }
        Ok(outcome.with("current", current).with("previous", previous))
    }
}

/// The answer as debconf writes it.
fn wanted(kind: Kind, value: &Json) -> Result<String, Failure> {
    let plain = |value: &Json| match value {
        Json::String(text) => text.clone(),
        Json::Bool(true) => "True".to_owned(),
        Json::Bool(false) => "False".to_owned(),
        other => other.to_string(),
    };
    match (kind, value) {
        (Kind::Boolean, value) => Ok(plain(value).to_lowercase()),
        (Kind::Multiselect, Json::Array(values)) => {
            if !values.iter().all(Json::is_string) {
                let msg = "Invalid value provided for 'multiselect': sequence item: expected str";
                return Err(Failure::new(msg));
            }
            let mut words: Vec<_> = values.iter().map(plain).collect();
            words.sort();
            Ok(words.join(", "))
        }
        (_, value) => Ok(plain(value)),
    }
}

/// Choices are compared without their order.
fn sorted(kind: Kind, value: &Json, text: &str) -> String {
    if kind != Kind::Multiselect || !value.is_array() {
        return text.to_owned();
    }
    let mut words: Vec<_> = text.split(',').map(str::trim).collect();
    words.sort_unstable();
    words.join(", ")
}

impl Debconf {
    /// All answers of the package.
    fn answers(&self, context: &Context) -> Result<Answers, Failure> {
        let output = tools::command(context, "debconf-show")?.arg(&self.name.0).run()?;
        if !output.success() {
            return Err(Failure::new(output.stderr));
        }
        let lines = output.stdout.lines().filter_map(|line| line.split_once(':'));
        let pairs = lines.map(|(question, answer)| {
            let question = question.trim_matches('*').trim().to_owned();
            (question, json!(answer.trim()))
        });
        Ok(pairs.collect())
    }

    /// The answer that is there, as it is compared.
    fn current(
        &self,
        kind: Kind,
        question: &str,
        shown: &str,
        value: &Json,
        context: &Context,
    ) -> Result<String, Failure> {
        match kind {
            Kind::Boolean => Ok(shown.to_lowercase()),
            Kind::Password => self.password(question, context),
            kind => Ok(sorted(kind, value, shown)),
        }
    }

    /// A password is not shown with the other answers.
    fn password(&self, question: &str, context: &Context) -> Result<String, Failure> {
        let output = tools::command(context, "debconf-get-selections")?.run()?;
        if !output.success() {
            return Err(Failure::new(format!(
                "Failed to get the value '{question}' from '{}': {}",
                self.name.0, output.stderr
            )));
        }
        let lines = output.stdout.lines().map(|line| line.split('\t').collect::<Vec<_>>());
        let found = lines.into_iter().find_map(|fields| match fields.as_slice() {
            [package, own, "password", value] if *package == self.name.0 && *own == question => {
                Some((*value).to_owned())
            }
            _ => None,
        });
        Ok(found.unwrap_or_default())
    }

    /// The answer goes over the standard input: it may be a password.
    fn answer(
        &self,
        question: &str,
        kind: Kind,
        value: &str,
        context: &Context,
    ) -> Result<String, Failure> {
        let mut command = tools::command(context, "debconf-set-selections")?;
        if self.unseen.0 {
            command = command.arg("-u");
        }
        let line = format!("{} {question} {} {value}\n", self.name.0, kind.word());
        let output = command.stdin(line.into_bytes()).run()?;
        if output.success() { Ok(output.stdout) } else { Err(Failure::new(output.stderr)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_as_debconf_has_them() {
        assert_eq!(wanted(Kind::Boolean, &json!(true)).expect("a text"), "true");
        let choices = json!(["b", "a"]);
        let text = wanted(Kind::Multiselect, &choices).expect("a text");
        assert_eq!(text, "a, b");
        assert_eq!(sorted(Kind::Multiselect, &choices, "b,a"), text);
        assert!(wanted(Kind::Multiselect, &json!([1])).is_err());
    }
}
