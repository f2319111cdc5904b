//! By which labels a workload knows its pods.

use serde_json::{Map, Value as Json};

/// The selector of an object (`spec.selector`) in the words of a query; none if it has none, or
/// one that cannot be said so.
pub fn selector(object: &Json) -> Option<Vec<String>> {
    let selector = object.pointer("/spec/selector")?.as_object()?;
    let equal = |labels: &Map<String, Json>| -> Option<Vec<String>> {
        labels.iter().map(|(key, value)| Some(format!("{key}={}", value.as_str()?))).collect()
    };
    let (labels, expressions) = (selector.get("matchLabels"), selector.get("matchExpressions"));
    if labels.is_none() && expressions.is_none() {
        // ReplicationControllers have labels and nothing else.
        return equal(selector).filter(|words| !words.is_empty());
    }
    let mut words = labels.and_then(Json::as_object).map_or(Some(Vec::new()), equal)?;
    for expression in expressions.and_then(Json::as_array).into_iter().flatten() {
        let key = expression.get("key")?.as_str()?;
        let values = expression.get("values").and_then(Json::as_array).into_iter().flatten();
        let values = values.filter_map(Json::as_str).collect::<Vec<_>>().join(",");
        words.push(match expression.get("operator")?.as_str()? {
            "Exists" => key.to_owned(),
            "DoesNotExist" => format!("!{key}"),
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            _ => return None,
        });
    }
    Some(words)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn labels_and_expressions_become_words_of_a_query() {
        let object = |selector: Json| json!({"spec": {"selector": selector}});
        let both = object(json!({"matchLabels": {"app": "a"}, "matchExpressions": [
            {"key": "tier", "operator": "In", "values": ["x", "y"]},
            {"key": "old", "operator": "DoesNotExist"}]}));
        assert_eq!(
            selector(&both),
            Some(vec!["app=a".into(), "tier in (x,y)".into(), "!old".into()])
        );
        assert_eq!(selector(&object(json!({"app": "a"}))), Some(vec!["app=a".into()]));
        assert_eq!(selector(&object(json!({}))), None);
        assert_eq!(selector(&json!({"spec": {}})), None);
    }
}
