//! How filters, tests and functions get their arguments: by position or by
//! name, as Python binds them.

use minijinja::value::{Kwargs, Rest, ValueKind, ValueOrKwargs};
use minijinja::{Environment, State};

use super::context::Context;
use super::{TemplateError, Value, python};

/// What a filter, test or function does.
pub type Run = fn(&mut Call<'_, '_, '_>) -> Result<Value, TemplateError>;

/// A filter, test or function of ours.
#[derive(Clone, Copy)]
pub struct Plugin {
    pub name: &'static str,
    /// Its parameters in order. `*` as the last takes any number of values,
    /// `**` any names.
    pub parameters: &'static [&'static str],
    /// Whether it may be given undefined values.
    pub undefined: bool,
    pub run: Run,
}

impl Plugin {
    pub const fn new(name: &'static str, parameters: &'static [&'static str], run: Run) -> Self {
        Self { name, parameters, undefined: false, run }
    }

    /// For those that know what to do with an undefined value.
    pub const fn lenient(
        name: &'static str,
        parameters: &'static [&'static str],
        run: Run,
    ) -> Self {
        Self { name, parameters, undefined: true, run }
    }

    fn call(
        &self,
        state: &mut State<'_, '_>,
        arguments: Vec<Value>,
    ) -> Result<Value, minijinja::Error> {
        for value in &arguments {
            // What is looked through costs as much as what is made.
            let items = || (value.kind() == ValueKind::Seq).then(|| value.len()).flatten();
            let work = value.as_str().map(|text| text.len() / 64).or_else(items);
            state.consume_fuel(work.unwrap_or_default() as u64)?;
        }
        let mut call = self.bind(state, arguments)?;
        Ok((self.run)(&mut call)?)
    }

    fn bind<'c, 's, 'e>(
        &self,
        state: &'c mut State<'s, 'e>,
        arguments: Vec<Value>,
    ) -> Result<Call<'c, 's, 'e>, TemplateError> {
        let named: Vec<&'static str> =
            self.parameters.iter().copied().filter(|name| !name.starts_with('*')).collect();
        let mut call = Call {
            state,
            name: self.name,
            values: named.iter().map(|_| None).collect(),
            parameters: named,
            rest: Vec::new(),
            keywords: Vec::new(),
        };
        let mut position = 0;
        for argument in arguments {
            if argument.is_kwargs() {
                for (key, value) in keywords(argument)? {
                    self.keyword(&mut call, key, value)?;
                }
                continue;
            }
            let argument = python::valid(argument).map_err(|error| python::carried(&error))?;
            match call.values.get_mut(position) {
                Some(place) => *place = Some(argument),
                None if self.parameters.contains(&"*") => call.rest.push(argument),
                None => {
                    return Err(TemplateError::new(format!(
                        "{}() takes {} arguments but more were given",
                        self.name,
                        call.parameters.len()
                    )));
                }
            }
            position += 1;
        }
        if !self.undefined {
            call.refuse_undefined()?;
        }
        Ok(call)
    }

    fn keyword(
        &self,
        call: &mut Call<'_, '_, '_>,
        key: String,
        value: Value,
    ) -> Result<(), TemplateError> {
        let place = call.parameters.iter().position(|name| **name == key);
        match place.and_then(|index| call.values.get_mut(index)) {
            Some(place) => *place = Some(value),
            None if self.parameters.contains(&"**") => call.keywords.push((key, value)),
            None => {
                return Err(TemplateError::new(format!(
                    "{}() got an unexpected keyword argument '{key}'",
                    self.name
                )));
            }
        }
        Ok(())
    }
}

fn keywords(argument: Value) -> Result<Vec<(String, Value)>, TemplateError> {
    let keywords = Kwargs::try_from(argument).map_err(|error| python::carried(&error))?;
    let names: Vec<String> = keywords.args().map(str::to_owned).collect();
    names
        .into_iter()
        .map(|name| {
            let value: Value = keywords.peek(&name).map_err(|error| python::carried(&error))?;
            Ok((name, value))
        })
        .collect()
}

/// The arguments of one call.
pub struct Call<'c, 's, 'e> {
    pub state: &'c mut State<'s, 'e>,
    name: &'static str,
    parameters: Vec<&'static str>,
    values: Vec<Option<Value>>,
    /// Positional values beyond the named parameters.
    pub rest: Vec<Value>,
    /// Named values beyond the named parameters.
    pub keywords: Vec<(String, Value)>,
}

impl Call<'_, '_, '_> {
    fn refuse_undefined(&self) -> Result<(), TemplateError> {
        let given = self.values.iter().flatten().chain(&self.rest);
        if given.chain(self.keywords.iter().map(|(_, value)| value)).any(Value::is_undefined) {
            return Err(self.undefined());
        }
        Ok(())
    }

    /// The error that says which variable is not defined.
    pub fn undefined(&self) -> TemplateError {
        Context::of(self.state).map_or_else(
            || TemplateError::undefined("a value is undefined"),
            |context| context.undefined(),
        )
    }

    /// The context of this template.
    pub fn context(&self) -> Result<std::sync::Arc<Context>, TemplateError> {
        Context::of(self.state)
            .ok_or_else(|| TemplateError::new(format!("{} has no variables here", self.name)))
    }

    /// An error that begins with the name of the filter.
    pub fn error(&self, message: impl std::fmt::Display) -> TemplateError {
        TemplateError::new(format!("{}: {message}", self.name))
    }

    /// The argument of this name, if it was given.
    pub fn get(&self, name: &str) -> Option<&Value> {
        let index = self.parameters.iter().position(|parameter| *parameter == name)?;
        self.values.get(index)?.as_ref()
    }

    /// As [`get`](Self::get), without those that are `none`.
    pub fn some(&self, name: &str) -> Option<&Value> {
        self.get(name).filter(|value| !value.is_none())
    }

    pub fn need(&self, name: &str) -> Result<&Value, TemplateError> {
        self.get(name).ok_or_else(|| {
            TemplateError::new(format!("{}() missing required argument: '{name}'", self.name))
        })
    }

    /// The value that the filter or test stands behind.
    pub fn value(&self) -> Result<&Value, TemplateError> {
        match self.values.first() {
            Some(Some(value)) => Ok(value),
            _ => Err(TemplateError::new(format!("{}() needs a value", self.name))),
        }
    }

    /// An argument as `str()` makes it a text.
    pub fn text(&self, name: &str) -> Result<String, TemplateError> {
        self.need(name).map(python::text)
    }

    pub fn text_or(&self, name: &str, default: &str) -> String {
        self.get(name).map_or_else(|| default.to_owned(), python::text)
    }

    pub fn truth(&self, name: &str, default: bool) -> bool {
        self.get(name).map_or(default, Value::is_true)
    }

    pub fn integer(&self, name: &str, default: i64) -> Result<i64, TemplateError> {
        match self.some(name) {
            None => Ok(default),
            Some(value) => self.as_integer(name, value),
        }
    }

    pub fn as_integer(&self, name: &str, value: &Value) -> Result<i64, TemplateError> {
        let number = match value.as_str() {
            Some(text) => text.trim().parse().ok(),
            None if value.kind() == minijinja::value::ValueKind::Bool => {
                Some(i64::from(value.is_true()))
            }
            None => i64::try_from(value.clone()).ok(),
        };
        number.ok_or_else(|| {
            self.error(format!("'{name}' has to be an integer, not {}", python::repr(value)))
        })
    }

    /// The items of an argument.
    pub fn items(&self, name: &str) -> Result<Vec<Value>, TemplateError> {
        python::items(self.need(name)?).map_err(|error| self.error(error))
    }

    /// Runs another filter of this environment.
    pub fn filter(&mut self, name: &str, arguments: &[Value]) -> Result<Value, TemplateError> {
        self.state.apply_filter(name, arguments).map_err(|error| match error.kind() {
            minijinja::ErrorKind::UndefinedError => self.undefined(),
            _ => python::carried(&error),
        })
    }

    /// Runs a test of this environment.
    pub fn test(&mut self, name: &str, arguments: &[Value]) -> Result<bool, TemplateError> {
        self.state.perform_test(name, arguments).map_err(|error| python::carried(&error))
    }

    /// The named values beyond the parameters, as one argument for another filter.
    pub fn keyword_argument(&self) -> Option<Value> {
        let pairs = self.keywords.iter().map(|(name, value)| (name.as_str(), value.clone()));
        (!self.keywords.is_empty()).then(|| Kwargs::from_iter(pairs).into())
    }
}

pub fn add_filters(environment: &mut Environment<'static>, plugins: &[Plugin]) {
    for plugin in plugins.iter().copied() {
        environment.add_filter(
            plugin.name,
            move |state: &mut State<'_, '_>, arguments: Rest<ValueOrKwargs>| {
                plugin.call(state, arguments.into_values())
            },
        );
    }
}

pub fn add_tests(environment: &mut Environment<'static>, plugins: &[Plugin]) {
    for plugin in plugins.iter().copied() {
        environment.add_test(
            plugin.name,
            move |state: &mut State<'_, '_>, arguments: Rest<ValueOrKwargs>| {
                plugin.call(state, arguments.into_values())
            },
        );
    }
}

pub fn add_functions(environment: &mut Environment<'static>, plugins: &[Plugin]) {
    for plugin in plugins.iter().copied() {
        environment.add_function(
            plugin.name,
            move |state: &mut State<'_, '_>, arguments: Rest<ValueOrKwargs>| {
                plugin.call(state, arguments.into_values())
            },
        );
    }
}
