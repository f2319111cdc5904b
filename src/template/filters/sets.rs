//! Lists as sets, and lists put beside each other.

use super::super::call::{Call, Plugin};
use super::super::{TemplateError, Value, python};

pub const FILTERS: &[Plugin] = &[
    Plugin::new("union", &["a", "b"], union),
    Plugin::new("intersect", &["a", "b"], intersect),
    Plugin::new("difference", &["a", "b"], difference),
    Plugin::new("symmetric_difference", &["a", "b"], symmetric_difference),
    Plugin::new("zip", &["a", "*"], zip),
    Plugin::new("zip_longest", &["a", "*", "**"], zip_longest),
    Plugin::new("product", &["a", "*", "**"], product),
    Plugin::new("permutations", &["a", "r"], permutations),
    Plugin::new("combinations", &["a", "r"], combinations),
];

/// More rows than this are taken for a mistake.
const MAX_ROWS: usize = 1_000_000;

fn both(call: &Call) -> Result<(Vec<Value>, Vec<Value>), TemplateError> {
    Ok((python::items(call.value()?)?, call.items("b")?))
}

/// The items, each once, in the order of their first appearance.
fn once(items: impl IntoIterator<Item = Value>) -> Value {
    let mut kept: Vec<Value> = Vec::new();
    for item in items {
        if !kept.contains(&item) {
            kept.push(item);
        }
    }
    Value::from(kept)
}

fn union(call: &mut Call) -> Result<Value, TemplateError> {
    let (a, b) = both(call)?;
    Ok(once(a.into_iter().chain(b)))
}

fn intersect(call: &mut Call) -> Result<Value, TemplateError> {
    let (a, b) = both(call)?;
    Ok(once(a.into_iter().filter(|item| b.contains(item))))
}

fn difference(call: &mut Call) -> Result<Value, TemplateError> {
    let (a, b) = both(call)?;
    Ok(once(a.into_iter().filter(|item| !b.contains(item))))
}

fn symmetric_difference(call: &mut Call) -> Result<Value, TemplateError> {
    let (a, b) = both(call)?;
    let only_b: Vec<Value> = b.iter().filter(|item| !a.contains(item)).cloned().collect();
    Ok(once(a.into_iter().filter(|item| !b.contains(item)).chain(only_b)))
}

/// The value and the other positional arguments, each as a list.
fn lists(call: &Call) -> Result<Vec<Vec<Value>>, TemplateError> {
    std::iter::once(call.value()?).chain(&call.rest).map(python::items).collect()
}

fn zip(call: &mut Call) -> Result<Value, TemplateError> {
    let lists = lists(call)?;
    let length = lists.iter().map(Vec::len).min().unwrap_or_default();
    Ok(rows(&lists, length, &Value::from(())))
}

fn zip_longest(call: &mut Call) -> Result<Value, TemplateError> {
    let lists = lists(call)?;
    let length = lists.iter().map(Vec::len).max().unwrap_or_default();
    let fill = call.keywords.iter().find(|(name, _)| name == "fillvalue");
    Ok(rows(&lists, length, &fill.map_or(Value::from(()), |(_, value)| value.clone())))
}

fn rows(lists: &[Vec<Value>], length: usize, fill: &Value) -> Value {
    let row = |index: usize| {
        python::tuple(lists.iter().map(|list| list.get(index).unwrap_or(fill).clone()).collect())
    };
    (0..length).map(row).collect()
}

fn product(call: &mut Call) -> Result<Value, TemplateError> {
    let mut lists = lists(call)?;
    if let Some((_, repeat)) = call.keywords.iter().find(|(name, _)| name == "repeat") {
        let repeat = call.as_integer("repeat", repeat)?.clamp(0, 20);
        lists = (0..repeat).flat_map(|_| lists.clone()).collect();
    }
    cartesian(&lists).map(|rows| rows.into_iter().map(python::tuple).collect())
}

/// Every way to take one item of each list, the last list turning fastest.
pub fn cartesian(lists: &[Vec<Value>]) -> Result<Vec<Vec<Value>>, TemplateError> {
    let count = lists.iter().try_fold(1usize, |count, list| count.checked_mul(list.len()));
    if count.is_none_or(|count| count > MAX_ROWS) {
        return Err(TemplateError::new("product: too many combinations"));
    }
    let mut rows = vec![Vec::new()];
    for list in lists {
        let longer = |row: &Vec<Value>| {
            let row = row.clone();
            list.iter().map(move |item| row.iter().chain([item]).cloned().collect::<Vec<_>>())
        };
        rows = rows.iter().flat_map(|row| longer(row).collect::<Vec<_>>()).collect();
    }
    Ok(rows)
}

fn permutations(call: &mut Call) -> Result<Value, TemplateError> {
    chosen(call, |picked, next| !picked.contains(&next))
}

fn combinations(call: &mut Call) -> Result<Value, TemplateError> {
    chosen(call, |picked, next| picked.last().is_none_or(|last| *last < next))
}

/// All ways to pick `r` items, where `allowed` says which may follow.
fn chosen(call: &Call, allowed: fn(&[usize], usize) -> bool) -> Result<Value, TemplateError> {
    let items = python::items(call.value()?)?;
    let length = usize::try_from(call.integer("r", items.len() as i64)?).unwrap_or_default();
    if length > items.len() {
        return Ok(Value::from(Vec::<Value>::new()));
    }
    let mut picks: Vec<Vec<usize>> = vec![Vec::new()];
    for _ in 0..length {
        let mut longer = Vec::new();
        for pick in &picks {
            let next = (0..items.len()).filter(|next| allowed(pick, *next));
            longer.extend(next.map(|next| pick.iter().copied().chain([next]).collect::<Vec<_>>()));
            if longer.len() > MAX_ROWS {
                return Err(call.error("too many combinations"));
            }
        }
        picks = longer;
    }
    let row = |pick: Vec<usize>| {
        python::tuple(pick.iter().filter_map(|index| items.get(*index).cloned()).collect())
    };
    Ok(picks.into_iter().map(row).collect())
}
