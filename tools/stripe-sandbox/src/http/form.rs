//! Stripe's form grammar: `a=1`, `a[b]=1`, `a[0][b]=1`, `a[]=1`, percent-encoded or not, in a body or a query.
//!
//! Parsed into a JSON tree whose leaves are texts; hashes whose keys are all numbers become lists, but for metadata.

use super::error::ApiError;
use crate::{
    field,
    json::{Map, Value},
};

const MOST_PARAMETERS: usize = 2000;
const DEEPEST: usize = 8;
/// Larger numbers are refused, so sums and products of a call stay far inside 64 bits.
pub(crate) const LARGEST_INTEGER: i64 = 99_999_999_999;

/// The parameters of one call. Those a handler is given have passed [`super::check`], so they have the types the table says.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Params(Value);

impl Params {
    /// Parses a body or a query string.
    pub(crate) fn parse(form: &[u8]) -> Result<Self, ApiError> {
        let mut root = Map::new();
        for (count, (name, value)) in url::form_urlencoded::parse(form).enumerate() {
            if count >= MOST_PARAMETERS {
                return Err(ApiError::invalid("Too many parameters.").before_execution());
            }
            let steps = steps(&name).ok_or_else(|| ApiError::parameter_unknown(&name).before_execution())?;
            insert(&mut root, &steps, value.into_owned());
        }
        Ok(Self(listed(Value::Object(root), true)))
    }

    /// What would be sent to say `tree`: its leaves as texts, without its nulls.
    pub(crate) fn saying(tree: Value) -> Self {
        Self(as_texts(tree).unwrap_or_default())
    }

    /// The hash sent under `name`, as parameters of its own.
    pub(crate) fn under(params: &Self, name: &str) -> Self {
        Self(params.at(name).clone())
    }

    /// The tree itself.
    pub(crate) fn tree(&self) -> &Value {
        &self.0
    }

    /// Both sets; what `other` has wins.
    pub(crate) fn merged(mut self, other: Self) -> Self {
        match (&mut self.0, other.0) {
            (Value::Object(mine), Value::Object(theirs)) => mine.extend(theirs),
            (mine, theirs) => {
                if !theirs.is_null() {
                    *mine = theirs;
                }
            }
        }
        self
    }

    /// The same parameters and one more at the top.
    pub(crate) fn with(self, name: &str, value: &str) -> Self {
        self.merged(Self(crate::json::json!({ name: value })))
    }

    /// The same parameters but for one at the top.
    pub(crate) fn without(mut self, name: &str) -> Self {
        if let Value::Object(sent) = &mut self.0 {
            sent.shift_remove(name);
        }
        self
    }

    /// What was sent under `name` (`recurring[interval]`), or null.
    pub(crate) fn at(&self, name: &str) -> &Value {
        field::at(&self.0, &name.replace('[', ".").replace(']', ""))
    }

    /// Whether `name` was sent at all, be it empty.
    pub(crate) fn has(&self, name: &str) -> bool {
        !self.at(name).is_null()
    }

    /// The text sent, if any and not empty.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.at(name).as_str().filter(|text| !text.is_empty())
    }

    /// Whether `name` was sent empty, which clears the field.
    pub(crate) fn clears(&self, name: &str) -> bool {
        self.at(name).as_str() == Some("")
    }

    /// The text of a parameter that the table requires; empty where there was none to require it.
    pub(crate) fn given(&self, name: &str) -> &str {
        self.text(name).unwrap_or_default()
    }

    /// The text of a parameter that the table does not require but the rest of the call does.
    pub(crate) fn required(&self, name: &str) -> Result<&str, ApiError> {
        self.text(name).ok_or_else(|| ApiError::parameter_missing(name))
    }

    /// The number sent, if any.
    pub(crate) fn integer(&self, name: &str) -> Option<i64> {
        self.text(name)?.parse().ok()
    }

    /// The truth value sent, if any.
    pub(crate) fn boolean(&self, name: &str) -> Option<bool> {
        self.text(name)?.parse().ok()
    }

    /// The elements of the list sent under `name`, each as parameters of its own.
    pub(crate) fn list(&self, name: &str) -> Vec<Self> {
        self.at(name)
            .as_array()
            .into_iter()
            .flatten()
            .map(|element| Self(element.clone()))
            .collect()
    }

    /// The texts of the list sent under `name`.
    pub(crate) fn texts(&self, name: &str) -> Vec<String> {
        self.at(name)
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|one| one.as_str().map(str::to_owned))
            .collect()
    }
}

fn as_texts(tree: Value) -> Option<Value> {
    Some(match tree {
        Value::Null => return None,
        Value::Object(map) => Value::Object(
            map.into_iter()
                .filter_map(|(name, inner)| Some((name, as_texts(inner)?)))
                .collect(),
        ),
        Value::Array(list) => Value::Array(list.into_iter().filter_map(as_texts).collect()),
        Value::String(text) => Value::String(text),
        leaf => leaf.to_string().into(),
    })
}

/// `a[b][]` as `["a", "b", ""]`; `None` if the brackets do not match or go too deep.
fn steps(name: &str) -> Option<Vec<String>> {
    let Some((first, mut rest)) = name.split_once('[').map(|(first, _)| (first, &name[first.len()..])) else {
        return (!name.is_empty() && !name.contains(']')).then(|| vec![name.to_owned()]);
    };
    if first.is_empty() || first.contains(']') {
        return None;
    }
    let mut steps = vec![first.to_owned()];
    while !rest.is_empty() {
        let (step, after) = rest.strip_prefix('[')?.split_once(']')?;
        if step.contains('[') || steps.len() >= DEEPEST {
            return None;
        }
        steps.push(step.to_owned());
        rest = after;
    }
    Some(steps)
}

fn insert(map: &mut Map, steps: &[String], value: String) {
    let Some((step, deeper)) = steps.split_first() else {
        return;
    };
    let key = if step.is_empty() {
        next_index(map, deeper)
    } else {
        step.clone()
    };
    if deeper.is_empty() {
        map.insert(key, value.into());
        return;
    }
    let slot = map.slot(&key);
    if !slot.is_object() {
        *slot = Value::Object(Map::new());
    }
    if let Value::Object(inner) = slot {
        insert(inner, deeper, value);
    }
}

/// Where `a[]` goes: after the last; `a[][b]` into the last as long as that has no `b` yet.
fn next_index(map: &Map, deeper: &[String]) -> String {
    let last = map.len().checked_sub(1).map(|last| last.to_string());
    if let (Some(last), Some(name)) = (last, deeper.first())
        && let Some(Value::Object(element)) = map.get(&last)
        && (name.is_empty() || !element.contains_key(name))
    {
        return last;
    }
    map.len().to_string()
}

/// Makes lists of the hashes with numbers for keys; this one itself not where it `stays` a hash.
fn listed(value: Value, stays: bool) -> Value {
    let Value::Object(map) = value else { return value };
    let numbered = !stays && !map.is_empty() && map.keys().all(|key| key.parse::<u32>().is_ok());
    let inner: Map = map
        .into_iter()
        .map(|(key, inner)| {
            let metadata = key == "metadata";
            (key, listed(inner, metadata))
        })
        .collect();
    if !numbered {
        return Value::Object(inner);
    }
    let mut elements: Vec<(u32, Value)> = inner
        .into_iter()
        .filter_map(|(key, element)| Some((key.parse().ok()?, element)))
        .collect();
    elements.sort_by_key(|(index, _)| *index);
    Value::Array(elements.into_iter().map(|(_, element)| element).collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use crate::json::json;
    use proptest::prelude::*;

    use super::*;

    fn tree(form: &str) -> Value {
        Params::parse(form.as_bytes()).unwrap().tree().clone()
    }

    #[test]
    fn brackets_nest_and_lists_come_indexed_or_blank() {
        assert_eq!(
            tree("a=1&b[c]=2&b[d][e]=3"),
            json!({"a": "1", "b": {"c": "2", "d": {"e": "3"}}})
        );
        assert_eq!(
            tree("x[0][p]=a&x[1][p]=b&x[0][q]=c"),
            json!({"x": [{"p": "a", "q": "c"}, {"p": "b"}]})
        );
        assert_eq!(tree("e[]=a&e[]=b"), json!({"e": ["a", "b"]}));
        assert_eq!(
            tree("i[][p]=a&i[][q]=1&i[][p]=b"),
            json!({"i": [{"p": "a", "q": "1"}, {"p": "b"}]})
        );
        assert_eq!(
            tree("metadata%5Buser_id%5D=u%201&email=a%2Bb%40c"),
            json!({"metadata": {"user_id": "u 1"}, "email": "a+b@c"})
        );
        assert_eq!(tree("metadata[7]=x"), json!({"metadata": {"7": "x"}}));
        assert_eq!(tree(""), json!({}));
    }

    #[test]
    fn what_is_said_again_has_texts_and_no_nulls() {
        let said = Params::saying(json!({"a": 1, "b": null, "c": {"d": true, "e": [{"f": "x", "g": null}]}}));
        assert_eq!(said.tree(), &json!({"a": "1", "c": {"d": "true", "e": [{"f": "x"}]}}));
    }

    #[test]
    fn unbalanced_brackets_are_refused() {
        for form in [
            "a[b=1",
            "a]=1",
            "[a]=1",
            "a[b]c=1",
            "=1",
            "a[[b]]=1",
            "a[b][c][d][e][f][g][h][i]=1",
        ] {
            assert!(Params::parse(form.as_bytes()).is_err(), "{form}");
        }
    }

    fn encode(value: &Value, prefix: &str, form: &mut url::form_urlencoded::Serializer<'_, String>) {
        let under = |step: &str| {
            if prefix.is_empty() {
                step.to_owned()
            } else {
                format!("{prefix}[{step}]")
            }
        };
        match value {
            Value::Object(map) => map.iter().for_each(|(key, inner)| encode(inner, &under(key), form)),
            Value::Array(list) => {
                list.iter()
                    .enumerate()
                    .for_each(|(index, inner)| encode(inner, &under(&index.to_string()), form));
            }
            leaf => {
                form.append_pair(prefix, leaf.as_str().unwrap());
            }
        }
    }

    fn any_tree() -> impl Strategy<Value = Value> {
        let leaf = any::<String>().prop_map(Value::from);
        let node = leaf.prop_recursive(4, 48, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 1..5).prop_map(Value::from),
                prop::collection::btree_map("[a-z_ é&=%]{1,8}", inner, 1..5)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        });
        prop::collection::btree_map("[a-z]{1,6}", node, 0..6)
            .prop_map(|map| Value::Object(map.into_iter().filter(|(key, _)| key != "metadata").collect()))
    }

    proptest! {
        #[test]
        fn every_tree_survives_encoding_and_parsing(sent in any_tree()) {
            let mut form = url::form_urlencoded::Serializer::new(String::new());
            encode(&sent, "", &mut form);
            prop_assert_eq!(tree(&form.finish()), sent);
        }

        #[test]
        fn no_bytes_make_the_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Params::parse(&bytes);
        }
    }
}
