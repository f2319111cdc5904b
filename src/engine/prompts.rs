//! `vars_prompt`: asks the operator before a play begins.

use std::io::{IsTerminal, stdin};
use std::sync::Arc;

use super::{Run, Stop, keywords};
use crate::events::Event;
use crate::playbook::{Play, Prompt};
use crate::source::{Node, Yaml};
use crate::template::{self, Scope, Value, Variable};
use crate::vars::Layer;

impl Run {
    /// The answers; what `-e` says is not asked for.
    pub(super) async fn prompts(&self, play: &Play, scope: &Arc<dyn Scope>) -> Result<Layer, Stop> {
        let mut answers = Layer::new();
        for prompt in &play.vars_prompt {
            if self.manager.extra().contains_key(&prompt.name) {
                continue;
            }
            let answer = self.prompt(prompt, scope).await?;
            answers.insert(prompt.name.clone(), answer);
        }
        Ok(answers)
    }

    async fn prompt(&self, prompt: &Prompt, scope: &Arc<dyn Scope>) -> Result<Variable, Stop> {
        let text = |node: &Option<Node>| match node {
            Some(node) => keywords::text_of(self.templar(), node, scope).map_err(Stop::of_failure),
            None => Ok(None),
        };
        let default = text(&prompt.default)?;
        let question = text(&prompt.prompt)?.unwrap_or_else(|| prompt.name.clone());
        let typed = if stdin().is_terminal() {
            self.ask(prompt, &question, default.as_deref()).await?
        } else {
            let text = "Not prompting as we are not in interactive mode".to_owned();
            self.warn(text);
            None
        };
        let Some(answer) = typed.or(default) else {
            // What Ansible makes of no answer.
            return Ok(Variable::Data(Value::from("None")));
        };
        let answer = match &prompt.encrypt {
            Some(encrypt) => self.encrypted(prompt, encrypt, answer, scope)?,
            None => answer,
        };
        if prompt.unsafe_ {
            return Ok(Variable::Data(Value::from(answer)));
        }
        Ok(Variable::Source(Arc::new(Node::new(Yaml::Str(answer), prompt.span.clone()))))
    }

    /// What is typed; none for an empty line.
    async fn ask(
        &self,
        prompt: &Prompt,
        question: &str,
        default: Option<&str>,
    ) -> Result<Option<String>, Stop> {
        let question = match default {
            Some(default) if !prompt.private => format!("{question} [{default}]: "),
            _ => format!("{question}: "),
        };
        loop {
            let typed = read(question.clone(), prompt.private).await?;
            if !prompt.confirm
                || typed == read(format!("confirm {question}"), prompt.private).await?
            {
                return Ok(Some(typed).filter(|typed| !typed.is_empty()));
            }
            let text = "***** VALUES ENTERED DO NOT MATCH ****".to_owned();
            self.events.emit(Event::Message { text });
        }
    }

    /// The answer hashed as a password, by the filter of that name.
    fn encrypted(
        &self,
        prompt: &Prompt,
        scheme: &str,
        answer: String,
        scope: &Arc<dyn Scope>,
    ) -> Result<String, Stop> {
        let kind = scheme.strip_suffix("_crypt").unwrap_or(scheme);
        let salt = prompt.salt.as_ref().map(|salt| format!(", salt='{salt}'")).unwrap_or_default();
        let size = prompt.salt_size.map(|size| format!(", salt_size={size}")).unwrap_or_default();
        let text = format!("{{{{ __answer | password_hash('{kind}'{salt}{size}) }}}}");
        let answer = Layer::from_iter([("__answer".to_owned(), Variable::Data(answer.into()))]);
        let scope: Arc<dyn Scope> = Arc::new(Answer { answer, scope: scope.clone() });
        let value = self
            .templar()
            .render_text(&text, None, &scope)
            .map_err(|error| Stop::Error(prompt.span.error(error.message).to_string()))?;
        Ok(template::python_text(&value))
    }
}

/// The scope with what was typed in it.
#[derive(Debug)]
struct Answer {
    answer: Layer,
    scope: Arc<dyn Scope>,
}

impl Scope for Answer {
    fn lookup(&self, name: &str) -> Option<Variable> {
        self.answer.get(name).cloned().or_else(|| self.scope.lookup(name))
    }

    fn names(&self) -> Vec<String> {
        self.scope.names()
    }
}

/// A line from the terminal; what is private is not shown.
async fn read(question: String, private: bool) -> Result<String, Stop> {
    let answer = tokio::task::spawn_blocking(move || {
        let terminal = console::Term::stderr();
        terminal.write_str(&question)?;
        if private { terminal.read_secure_line() } else { terminal.read_line() }
    });
    answer
        .await
        .map_err(|error| Stop::Error(error.to_string()))?
        .map_err(|error| Stop::Error(format!("no answer could be read: {error}")))
}
