//! CSV and INI, as Python's `csv` and `configparser` read them.

use super::super::call::{Call, Plugin};
use super::super::ini::Ini;
use super::super::{TemplateError, Value, python};

pub const FILTERS: &[Plugin] = &[
    Plugin::new(
        "from_csv",
        &["data", "dialect", "fieldnames", "delimiter", "skipinitialspace", "strict"],
        from_csv,
    ),
    Plugin::new("from_ini", &["obj"], from_ini),
    Plugin::new("to_ini", &["obj"], to_ini),
];

/// The rows of a table; empty lines are none.
pub fn csv_rows(
    text: &str,
    delimiter: u8,
    skip_space: bool,
) -> Result<Vec<Vec<String>>, TemplateError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter)
        .trim(if skip_space { csv::Trim::All } else { csv::Trim::None })
        .from_reader(text.as_bytes());
    let rows = reader.records().map(|row| {
        row.map(|row| row.iter().map(str::to_owned).collect())
            .map_err(|error| TemplateError::new(format!("Unable to process file: {error}")))
    });
    rows.collect()
}

/// One ASCII character.
pub fn delimiter(text: &str) -> Result<u8, TemplateError> {
    match text.as_bytes() {
        [byte] if byte.is_ascii() => Ok(*byte),
        _ => Err(TemplateError::new("\"delimiter\" must be a 1-character string")),
    }
}

/// A dictionary for each row, under the names of the first row or of `fieldnames`.
fn from_csv(call: &mut Call) -> Result<Value, TemplateError> {
    let separator = match call.some("delimiter") {
        Some(text) => delimiter(&python::text(text))?,
        None => match call.text_or("dialect", "excel").as_str() {
            "excel" | "unix" => b',',
            "excel-tab" => b'\t',
            other => {
                return Err(TemplateError::new(format!(
                    "Dialect '{other}' is not supported by your version of python."
                )));
            }
        },
    };
    let rows = csv_rows(&call.text("data")?, separator, call.truth("skipinitialspace", false))?;
    let mut rows = rows.into_iter();
    let names = match call.some("fieldnames") {
        Some(names) => python::items(names)?.iter().map(python::text).collect(),
        None => rows.next().unwrap_or_default(),
    };
    let record = |row: Vec<String>| {
        let cell = |index| {
            row.get(index).map_or(Value::from(()), |cell: &String| Value::from(cell.as_str()))
        };
        let cells =
            names.iter().enumerate().map(|(index, name)| (Value::from(name.as_str()), cell(index)));
        let more: Vec<Value> =
            row.iter().skip(names.len()).map(|cell| Value::from(cell.as_str())).collect();
        let more = (!more.is_empty()).then(|| (Value::from(()), Value::from(more)));
        Value::from_pairs(cells.chain(more))
    };
    Ok(rows.map(record).collect())
}

fn from_ini(call: &mut Call) -> Result<Value, TemplateError> {
    let value = call.value()?;
    let text = value.as_str().ok_or_else(|| {
        TemplateError::new(format!(
            "from_ini requires a str, got <class '{}'>",
            python::type_name(value)
        ))
    })?;
    let ini = Ini::read(text, true, false).map_err(|error| {
        TemplateError::new(format!("from_ini failed to parse given string: {}", error.message))
    })?;
    let texts = |entries: Vec<(String, Option<String>)>| {
        Value::from_pairs(
            entries
                .into_iter()
                .map(|(name, value)| (name, value.map_or(Value::from(()), Value::from))),
        )
    };
    let sections = ini.sections.keys().map(|name| {
        let entries = ini.entries(name).unwrap_or_default();
        (name.clone(), texts(entries))
    });
    let mut found: Vec<(String, Value)> = sections.collect();
    if !ini.defaults.is_empty() {
        found.push(("DEFAULT".to_owned(), texts(ini.defaults.clone().into_iter().collect())));
    }
    Ok(Value::from_pairs(found))
}

fn to_ini(call: &mut Call) -> Result<Value, TemplateError> {
    let value = call.value()?;
    if value.kind() != minijinja::value::ValueKind::Map {
        return Err(TemplateError::new(format!(
            "to_ini requires a dict, got <class '{}'>",
            python::type_name(value)
        )));
    }
    let sections = python::entries(value)?;
    if sections.is_empty() {
        return Err(TemplateError::new(
            "to_ini received an empty dict. An empty dict cannot be converted.",
        ));
    }
    let mut out = String::new();
    for (name, entries) in sections {
        out.push_str(&format!("[{}]\n", python::text(&name)));
        for (key, item) in python::entries(&entries)? {
            // Python takes numbers in a dictionary, but not nothing.
            if item.is_none() {
                return Err(TemplateError::new(
                    "to_ini failed to parse given dict: option values must be strings",
                ));
            }
            let item = python::text(&item).replace('\n', "\n\t");
            out.push_str(&format!("{} = {item}\n", python::text(&key)));
        }
        out.push('\n');
    }
    out.pop();
    Ok(Value::from(out))
}
