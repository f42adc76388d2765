//! The table of operations: what Stripe takes for each, read once from `operations/table.txt`, whose head says how it reads.

use std::{collections::HashMap, iter::Peekable, sync::Arc};

use super::form::LARGEST_INTEGER;

const TABLE: &str = include_str!("../../operations/table.txt");

/// Longest `string` that has no length of its own.
const LONGEST_STRING: usize = 5000;

/// What one operation takes.
#[derive(Debug)]
pub(crate) struct Signature {
    pub(crate) method: &'static str,
    /// Ids stand in braces: `/v1/customers/{customer}`.
    pub(crate) path: &'static str,
    pub(crate) parameters: Vec<Parameter>,
}

/// One parameter, at the top or in a hash.
#[derive(Clone, Debug)]
pub(crate) struct Parameter {
    pub(crate) name: &'static str,
    pub(crate) required: bool,
    /// Sent empty, it is cleared.
    pub(crate) clearable: bool,
    pub(crate) takes: Takes,
}

/// What becomes of a parameter that is sent.
#[derive(Clone, Debug)]
pub(crate) enum Takes {
    /// It must be one of these.
    Values(Vec<Kind>),
    /// Stripe knows it, the sandbox does not serve it.
    Nothing,
    /// Stripe knew it once.
    NothingAnyMore,
}

#[derive(Clone, Debug)]
pub(crate) enum Kind {
    /// Of at most so many characters.
    Text(usize),
    /// Between the two, both included.
    Integer(i64, i64),
    Number,
    Currency,
    Timestamp,
    Boolean,
    Enum(Arc<[&'static str]>),
    Hash(Vec<Parameter>),
    List(Box<Kind>),
    /// Any keys, each with such a value.
    Map(Box<Kind>),
}

type NamedValues = HashMap<&'static str, Arc<[&'static str]>>;

/// The table the sandbox was built with.
pub(crate) fn signatures() -> Result<Vec<Signature>, String> {
    parse(TABLE)
}

/// The values listed under a name at the top of the table.
pub(crate) fn values(name: &str) -> Vec<&'static str> {
    let mut lines = TABLE
        .lines()
        .skip_while(|line| line.strip_prefix("values ") != Some(name));
    lines.next();
    let listed = lines.take_while(|line| line.starts_with("  "));
    listed.flat_map(str::split_whitespace).collect()
}

fn parse(text: &'static str) -> Result<Vec<Signature>, String> {
    let mut lines = text
        .lines()
        .filter(|line| !line.trim().is_empty() && !line.starts_with('#'))
        .map(Line::new)
        .peekable();
    let mut values = NamedValues::new();
    let mut signatures = Vec::new();
    while let Some(heading) = lines.next() {
        match (heading.depth, heading.text.split_once(' ')) {
            (0, Some(("values", name))) => {
                let mut listed = Vec::new();
                while let Some(line) = lines.next_if(|line| line.depth == 1) {
                    listed.extend(line.text.split(' '));
                }
                values.insert(name, listed.into());
            }
            (0, Some((method, path))) => {
                let mut parameters = parameters(&mut lines, 1, &values)?;
                parameters.push(expand());
                signatures.push(Signature {
                    method,
                    path,
                    parameters,
                });
            }
            _ => return Err(format!("`{}` is no heading", heading.text)),
        }
    }
    Ok(signatures)
}

struct Line {
    depth: usize,
    text: &'static str,
}

impl Line {
    fn new(line: &'static str) -> Self {
        let text = line.trim_start();
        Self {
            depth: (line.len() - text.len()) / 2,
            text,
        }
    }
}

/// Every operation takes it, so the table does not say so. Source: <https://docs.stripe.com/api/expanding_objects>.
fn expand() -> Parameter {
    let path = Kind::Text(LONGEST_STRING);
    Parameter {
        name: "expand",
        required: false,
        clearable: true,
        takes: Takes::Values(vec![Kind::List(Box::new(path.clone())), path]),
    }
}

fn parameters(
    lines: &mut Peekable<impl Iterator<Item = Line>>,
    depth: usize,
    values: &NamedValues,
) -> Result<Vec<Parameter>, String> {
    let mut found = Vec::new();
    while let Some(line) = lines.next_if(|line| line.depth == depth) {
        let inner = parameters(lines, depth + 1, values)?;
        found.push(parameter(line.text, inner, values).ok_or_else(|| format!("`{}` does not parse", line.text))?);
    }
    match lines.peek() {
        Some(deeper) if deeper.depth > depth => Err(format!("`{}` stands too deep", deeper.text)),
        _ => Ok(found),
    }
}

fn parameter(line: &'static str, inner: Vec<Parameter>, values: &NamedValues) -> Option<Parameter> {
    let (marked, words) = line.split_once(' ')?;
    let takes = match words {
        "unserved" => Takes::Nothing,
        "gone" => Takes::NothingAnyMore,
        words => {
            let kinds = words.split(" or ").map(|words| kind(words, &inner, values));
            Takes::Values(kinds.collect::<Option<_>>()?)
        }
    };
    Some(Parameter {
        name: marked.trim_end_matches(['!', '?']),
        required: marked.contains('!'),
        clearable: marked.contains('?'),
        takes,
    })
}

fn kind(words: &'static str, inner: &[Parameter], values: &NamedValues) -> Option<Kind> {
    Some(match words.split_once(' ') {
        None => match words {
            "string" => Kind::Text(LONGEST_STRING),
            "text" => Kind::Text(usize::MAX),
            "integer" => Kind::Integer(-LARGEST_INTEGER, LARGEST_INTEGER),
            "number" | "decimal" => Kind::Number,
            "currency" => Kind::Currency,
            "timestamp" => Kind::Timestamp,
            "boolean" => Kind::Boolean,
            "hash" => Kind::Hash(inner.to_vec()),
            _ => return None,
        },
        Some(("string", longest)) => Kind::Text(longest.parse().ok()?),
        Some(("integer", range)) => {
            let (least, most) = range.split_once("..")?;
            Kind::Integer(least.parse().ok()?, most.parse().ok()?)
        }
        Some(("enum", listed)) => Kind::Enum(match listed.strip_prefix('@') {
            Some(name) => values.get(name)?.clone(),
            None => listed.split(' ').collect(),
        }),
        Some(("list", element)) => Kind::List(Box::new(kind(element.strip_prefix("of ")?, inner, values)?)),
        Some(("map", value)) => Kind::Map(Box::new(kind(value.strip_prefix("of ")?, inner, values)?)),
        Some(_) => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_parses() {
        assert!(signatures().unwrap().len() > 90);
    }

    #[test]
    fn a_line_that_does_not_fit_is_told() {
        for (table, problem) in [
            ("GET /v1/x\n  a colour\n", "`a colour` does not parse"),
            ("GET /v1/x\n  a enum @nobody\n", "`a enum @nobody` does not parse"),
            ("GET /v1/x\n    a string\n", "`a string` stands too deep"),
            ("GET /v1/x\n  a hash\n      b string\n", "`b string` stands too deep"),
            ("x\n", "`x` is no heading"),
        ] {
            assert_eq!(parse(table).unwrap_err(), problem);
        }
    }
}
