//! Dates and times.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use jiff::civil::DateTime;
use jiff::fmt::strtime::{BrokenDownTime, Config, PosixCustom};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ZonedDateTime};
use minijinja::State;
use minijinja::value::{DynObject, Object, ObjectRepr};

use super::super::call::{Call, Plugin};
use super::super::{TemplateError, Value, python, rewrite};

pub const FILTERS: &[Plugin] = &[
    Plugin::new("to_datetime", &["string", "format"], to_datetime),
    Plugin::new("strftime", &["string_format", "second", "utc"], strftime),
    Plugin::new(rewrite::DIFFERENCE, &["a", "b"], difference),
];

/// A span of time, as `datetime.timedelta` of Python, in microseconds.
#[derive(Debug)]
struct Span(i64);

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;

impl Object for Span {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        Some(match key.as_str()? {
            "days" => Value::from(self.0.div_euclid(DAY)),
            "seconds" => Value::from(self.0.rem_euclid(DAY) / SECOND),
            "microseconds" => Value::from(self.0.rem_euclid(SECOND)),
            _ => return None,
        })
    }

    fn call_method(
        self: &Arc<Self>,
        _: &mut State<'_, '_>,
        method: &str,
        _: &[Value],
    ) -> Result<Value, minijinja::Error> {
        match method {
            "total_seconds" => Ok(Value::from(self.0 as f64 / SECOND as f64)),
            _ => Err(minijinja::Error::from(minijinja::ErrorKind::UnknownMethod)),
        }
    }

    fn custom_cmp(self: &Arc<Self>, other: &DynObject) -> Option<Ordering> {
        other.downcast_ref::<Self>().map(|other| self.0.cmp(&other.0))
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, rest) = (self.0.div_euclid(DAY), self.0.rem_euclid(DAY));
        if days != 0 {
            write!(f, "{days} day{}, ", if days.abs() == 1 { "" } else { "s" })?;
        }
        let seconds = rest / SECOND;
        write!(f, "{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)?;
        match rest % SECOND {
            0 => Ok(()),
            micro => write!(f, ".{micro:06}"),
        }
    }
}

/// `a - b` of two times.
fn difference(call: &mut Call) -> Result<Value, TemplateError> {
    let (a, b) = (call.value()?, call.need("b")?);
    let moment = |value: &Value| value.downcast_object_ref::<Moment>().map(|moment| moment.0);
    let (Some(later), Some(earlier)) = (moment(a), moment(b)) else {
        return Err(TemplateError::new(format!(
            "unsupported operand type(s) for -: '{}' and '{}'",
            python::type_name(a),
            python::type_name(b)
        )));
    };
    let span = later.duration_since(earlier).as_micros();
    i64::try_from(span)
        .map(|span| Value::from_object(Span(span)))
        .map_err(|_| TemplateError::new("the times are too far apart"))
}

/// A moment without a time zone, as `datetime.datetime` of Python, or with one.
#[derive(Debug)]
pub struct Moment(pub DateTime);

impl Object for Moment {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        Some(match key.as_str()? {
            "year" => Value::from(self.0.year()),
            "month" => Value::from(self.0.month()),
            "day" => Value::from(self.0.day()),
            "hour" => Value::from(self.0.hour()),
            "minute" => Value::from(self.0.minute()),
            "second" => Value::from(self.0.second()),
            "microsecond" => Value::from(self.0.subsec_nanosecond() / 1000),
            _ => return None,
        })
    }

    fn call_method(
        self: &Arc<Self>,
        _: &mut State<'_, '_>,
        method: &str,
        arguments: &[Value],
    ) -> Result<Value, minijinja::Error> {
        Ok(Value::from(match (method, arguments) {
            ("strftime", [format]) => written(&python::text(format), self.0)?,
            ("isoformat", []) => iso(self.0, 'T'),
            ("date", []) => self.0.date().to_string(),
            ("time", []) => self.0.time().to_string(),
            ("weekday", []) => return Ok(Value::from(self.0.weekday().to_monday_zero_offset())),
            ("isoweekday", []) => return Ok(Value::from(self.0.weekday().to_monday_one_offset())),
            ("timestamp", []) => {
                let zoned = self.0.to_zoned_datetime(TimeZone::system()).map_err(failed)?;
                return Ok(Value::from(zoned.timestamp().as_microsecond() as f64 / 1e6));
            }
            _ => return Err(minijinja::Error::from(minijinja::ErrorKind::UnknownMethod)),
        }))
    }

    fn custom_cmp(self: &Arc<Self>, other: &DynObject) -> Option<Ordering> {
        other.downcast_ref::<Self>().map(|other| self.0.cmp(&other.0))
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&iso(self.0, ' '))
    }
}

fn failed(error: jiff::Error) -> TemplateError {
    TemplateError::new(error.to_string())
}

/// `isoformat` of Python: microseconds only when there are some.
fn iso(moment: DateTime, separator: char) -> String {
    let micro = moment.subsec_nanosecond() / 1000;
    let whole = moment.strftime(&format!("%Y-%m-%d{separator}%H:%M:%S")).to_string();
    if micro == 0 { whole } else { format!("{whole}.{micro:06}") }
}

/// `strftime` of Python for a moment without a zone.
pub fn written(format: &str, moment: DateTime) -> Result<String, TemplateError> {
    let zoned = moment.to_zoned_datetime(TimeZone::system()).map_err(failed)?;
    formatted(&format_with(format, |code| matches!(code, 'Z' | 'z').then_some("")), &zoned)
}

/// `strftime` of C in its own locale: what it does not know stays as it is written, be it jiff's.
fn formatted(format: &str, moment: &ZonedDateTime) -> Result<String, TemplateError> {
    let format = format_with(format, |code| match code {
        'q' => Some("%%q"),
        'Q' => Some("%%Q"),
        _ => None,
    });
    let config = Config::new().custom(PosixCustom::new()).lenient(true);
    BrokenDownTime::from(moment).to_string_with_config(&config, format).map_err(failed)
}

/// A format with other words for some of its codes.
fn format_with(format: &str, word: impl Fn(char) -> Option<&'static str>) -> String {
    let mut out = String::with_capacity(format.len());
    let mut characters = format.chars();
    while let Some(character) = characters.next() {
        let code = if character == '%' { characters.next() } else { None };
        match (code, code.and_then(&word)) {
            (_, Some(word)) => out.push_str(word),
            (code, None) => out.extend([Some(character), code].into_iter().flatten()),
        }
    }
    out
}

/// `datetime.strptime` of Python.
fn to_datetime(call: &mut Call) -> Result<Value, TemplateError> {
    let text = python::text(call.value()?);
    let format = call.text_or("format", "%Y-%m-%d %H:%M:%S");
    // A zone's name is read, but a moment has none.
    let found = ["UTC", "GMT", "utc", "gmt"].into_iter().find_map(|zone| {
        let format = format_with(&format, |code| match code {
            'c' => Some("%a %b %e %H:%M:%S %Y"),
            'x' => Some("%m/%d/%y"),
            'X' => Some("%H:%M:%S"),
            'Z' => Some(zone),
            _ => None,
        });
        moment_of(BrokenDownTime::parse(&format, &text).ok()?)
    });
    found.map(|moment| Value::from_object(Moment(moment))).ok_or_else(|| {
        TemplateError::new(format!(
            "time data {} does not match format {}",
            python::quoted(&text),
            python::quoted(&format)
        ))
    })
}

/// What is not given is that of the first day of 1900. Seconds since 1970 are not read, and the
/// day of the week says nothing where the date says it.
fn moment_of(mut parsed: BrokenDownTime) -> Option<DateTime> {
    if parsed.timestamp().is_some() {
        return None;
    }
    if parsed.year().is_none() && parsed.iso_week_year().is_none() {
        parsed.set_year(Some(1900)).ok()?;
    }
    let date = parsed.to_date().ok().or_else(|| {
        parsed.set_weekday(None);
        parsed.set_month(parsed.month().or(Some(1))).ok()?;
        parsed.set_day(parsed.day().or(Some(1))).ok()?;
        parsed.to_date().ok()
    })?;
    if parsed.hour().is_none() {
        parsed.set_hour(Some(0)).ok()?;
    }
    if parsed.minute().is_none() {
        parsed.set_minute(Some(0)).ok()?;
    }
    if parsed.second().is_none() {
        parsed.set_second(Some(0)).ok()?;
    }
    Some(date.to_datetime(parsed.to_time().ok()?))
}

fn strftime(call: &mut Call) -> Result<Value, TemplateError> {
    let format = python::text(call.value()?);
    let utc = call.truth("utc", false);
    let zone = if utc { TimeZone::UTC } else { TimeZone::system() };
    let moment = match call.some("second") {
        None => Timestamp::now(),
        Some(second) => {
            let seconds = match second.as_str() {
                Some(text) => super::numbers::parse_float(text),
                None => f64::try_from(second.clone()).ok(),
            };
            seconds
                .and_then(|seconds| Timestamp::from_microsecond((seconds * 1e6) as i64).ok())
                .ok_or_else(|| {
                    TemplateError::new(format!(
                        "Invalid value for epoch value ({})",
                        python::text(second)
                    ))
                })?
        }
    };
    // C's name for it, where it is not the name of the host's own zone.
    let format = format_with(&format, |code| (utc && code == 'Z').then_some("GMT"));
    formatted(&format, &moment.to_zoned_datetime(zone)).map(Value::from)
}
