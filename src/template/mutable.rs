//! Lists and dictionaries that a template changes: `{% set _ = list.append(1) %}`.
//!
//! minijinja's values do not change. What `{% set %}` stores is therefore
//! wrapped in objects that do, and have Python's methods for it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use indexmap::IndexMap;
use minijinja::State;
use minijinja::value::{Enumerator, Object, ObjectRepr, ValueKind};

use super::call::Call;
use super::methods;
use super::{TemplateError, Value, python};

/// The value as one that can be changed, if it is a list or dictionary of a
/// template; all else (tuples, lazy maps, undefined) is given back.
pub fn mutable(call: &mut Call) -> Result<Value, TemplateError> {
    let value = call.value()?;
    Ok(match value.kind() {
        _ if value.downcast_object_ref::<List>().is_some() => value.clone(),
        ValueKind::Seq if value.downcast_object_ref::<Vec<Value>>().is_some() => {
            Value::from_object(List(Mutex::new(python::items(value)?)))
        }
        // The sum of two lists.
        ValueKind::Iterable => Value::from_object(List(Mutex::new(python::items(value)?))),
        ValueKind::Map if value.downcast_object_ref::<IndexMap<Value, Value>>().is_some() => {
            let entries = python::entries(value)?.into_iter().collect();
            Value::from_object(Dictionary(Mutex::new(entries)))
        }
        _ => value.clone(),
    })
}

// A panic elsewhere leaves the collection whole: every change is one call.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn unknown() -> minijinja::Error {
    minijinja::Error::from(minijinja::ErrorKind::UnknownMethod)
}

#[derive(Debug)]
struct List(Mutex<Vec<Value>>);

impl Object for List {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let items = locked(&self.0);
        place(key, items.len()).and_then(|index| items.get(index).cloned())
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(locked(&self.0).clone())
    }

    fn call_method(
        self: &Arc<Self>,
        _: &mut State<'_, '_>,
        method: &str,
        arguments: &[Value],
    ) -> Result<Value, minijinja::Error> {
        // Its own items are read before it is locked, and it never becomes one of them.
        let more = match (method, arguments) {
            ("extend", [more]) => python::items(more)?,
            _ => Vec::new(),
        };
        let place_of = Arc::as_ptr(self).cast();
        refuse_circle(place_of, if method == "extend" { &more } else { arguments })?;
        let mut items = locked(&self.0);
        match (method, arguments) {
            ("append", [item]) => items.push(item.clone()),
            ("extend", [_]) => items.extend(more),
            ("insert", [index, item]) => {
                let index = place(index, items.len() + 1).unwrap_or(items.len());
                items.insert(index, item.clone());
            }
            ("pop", arguments @ ([] | [_])) => {
                let last = Value::from(-1);
                let index = place(arguments.first().unwrap_or(&last), items.len())
                    .ok_or_else(|| TemplateError::new("pop index out of range"))?;
                return Ok(items.remove(index));
            }
            ("remove", [item]) => {
                let index = items.iter().position(|found| found == item);
                items.remove(
                    index.ok_or_else(|| TemplateError::new("list.remove(x): x not in list"))?,
                );
            }
            ("clear", []) => items.clear(),
            ("reverse", []) => items.reverse(),
            ("sort", []) => {
                let mut keyed: Vec<(Value, Value)> =
                    items.iter().map(|item| (item.clone(), item.clone())).collect();
                python::sort_by_key(&mut keyed, false)?;
                *items = keyed.into_iter().map(|(_, item)| item).collect();
            }
            ("__setitem__", [index, item]) => {
                let index = place(index, items.len())
                    .ok_or_else(|| TemplateError::new("list assignment index out of range"))?;
                if let Some(place) = items.get_mut(index) {
                    *place = item.clone();
                }
            }
            ("copy", []) => return Ok(Value::from_object(List(Mutex::new(items.clone())))),
            _ => return Err(unknown()),
        }
        Ok(Value::from(()))
    }
}

/// What contains itself has no end, for anybody who walks through it.
fn refuse_circle(place: *const (), new: &[Value]) -> Result<(), TemplateError> {
    match new.iter().any(|value| contains(value, place, 0)) {
        true => Err(TemplateError::new("a list or dictionary cannot contain itself")),
        false => Ok(()),
    }
}

/// Whether the collection at this place is in a value. Deeper than this nothing is looked for:
/// what is that deep is taken for a circle.
fn contains(value: &Value, place: *const (), depth: usize) -> bool {
    let list = value.downcast_object_ref::<List>().map(|list| std::ptr::from_ref(list).cast());
    let own = list.or_else(|| {
        value.downcast_object_ref::<Dictionary>().map(|map| std::ptr::from_ref(map).cast())
    });
    if own == Some(place) || depth > MAX_DEPTH {
        return true;
    }
    let inner = match value.kind() {
        ValueKind::Seq => python::items(value).unwrap_or_default(),
        ValueKind::Map
            if own.is_some() || value.downcast_object_ref::<IndexMap<Value, Value>>().is_some() =>
        {
            let entries = python::entries(value).unwrap_or_default();
            entries.into_iter().map(|(_, item)| item).collect()
        }
        _ => Vec::new(),
    };
    inner.iter().any(|item| contains(item, place, depth + 1))
}

const MAX_DEPTH: usize = 100;

/// An index of Python's, which counts from the end when it is negative.
fn place(index: &Value, length: usize) -> Option<usize> {
    let index = index.as_i64()?;
    let index = if index < 0 { index + length as i64 } else { index };
    usize::try_from(index).ok().filter(|index| *index < length)
}

#[derive(Debug)]
struct Dictionary(Mutex<IndexMap<Value, Value>>);

impl Object for Dictionary {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        locked(&self.0).get(key).cloned()
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(locked(&self.0).keys().cloned().collect())
    }

    fn call_method(
        self: &Arc<Self>,
        _: &mut State<'_, '_>,
        method: &str,
        arguments: &[Value],
    ) -> Result<Value, minijinja::Error> {
        let more = match method {
            "update" => methods::update_entries(arguments)?,
            _ => Vec::new(),
        };
        let new: Vec<Value> = more.iter().map(|(_, value)| value.clone()).collect();
        let place_of = Arc::as_ptr(self).cast();
        refuse_circle(place_of, if method == "update" { &new } else { arguments })?;
        let mut entries = locked(&self.0);
        match (method, arguments) {
            ("update", _) => entries.extend(more),
            ("__setitem__", [key, value]) => drop(entries.insert(key.clone(), value.clone())),
            ("setdefault", [key, rest @ ..]) => {
                let default = rest.first().cloned().unwrap_or(Value::from(()));
                return Ok(entries.entry(key.clone()).or_insert(default).clone());
            }
            ("pop", [key, rest @ ..]) => {
                let found = entries.shift_remove(key).or_else(|| rest.first().cloned());
                return Ok(found.ok_or_else(|| TemplateError::new(python::repr(key)))?);
            }
            ("clear", []) => entries.clear(),
            ("copy", []) => return Ok(Value::from_object(Self(Mutex::new(entries.clone())))),
            _ => return Err(unknown()),
        }
        Ok(Value::from(()))
    }
}
