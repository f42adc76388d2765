//! Which operation a request is for: found step by step along its path, a fixed step before one that is an id.

use std::collections::HashMap;

use super::table::{self, Parameter};
use crate::resources::{self, Operation};

/// All operations that have a handler, with what the table says they take.
#[derive(Debug, Default)]
pub(crate) struct Routes(Node);

#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) operation: &'static Operation,
    pub(crate) parameters: Vec<Parameter>,
}

#[derive(Debug, Default)]
struct Node {
    by_method: HashMap<&'static str, Route>,
    by_step: HashMap<&'static str, Node>,
    by_id: Option<Box<Node>>,
}

impl Routes {
    /// # Errors
    /// When the table does not parse, or an operation is not in it: a mistake in this crate.
    pub(crate) fn new() -> Result<Self, String> {
        let mut signatures: HashMap<_, _> = table::signatures()?
            .into_iter()
            .map(|one| ((one.method, nameless(one.path)), one.parameters))
            .collect();
        let mut root = Node::default();
        for operation in resources::operations() {
            let Some(parameters) = signatures.remove(&(operation.method, nameless(operation.path))) else {
                return Err(format!("the table has no {} {}", operation.method, operation.path));
            };
            let mut node = &mut root;
            for step in operation.path.split('/') {
                node = if step.starts_with('{') {
                    node.by_id.get_or_insert_default()
                } else {
                    node.by_step.entry(step).or_default()
                };
            }
            node.by_method.insert(operation.method, Route { operation, parameters });
        }
        Ok(Self(root))
    }

    /// The operation, and the ids in its path.
    pub(crate) fn find(&self, method: &str, path: &str) -> Option<(&Route, Vec<String>)> {
        let steps: Vec<&str> = path.split('/').collect();
        let mut ids = Vec::new();
        let route = self.0.find(method, &steps, &mut ids)?;
        Some((route, ids))
    }
}

impl Node {
    fn find<'a>(&'a self, method: &str, steps: &[&str], ids: &mut Vec<String>) -> Option<&'a Route> {
        let Some((step, rest)) = steps.split_first() else {
            return self.by_method.get(method);
        };
        let fixed = self.by_step.get(*step).and_then(|node| node.find(method, rest, ids));
        if fixed.is_some() || step.is_empty() {
            return fixed;
        }
        let before = ids.len();
        let id = percent_encoding::percent_decode_str(step).decode_utf8_lossy();
        ids.push(id.into_owned());
        let found = self.by_id.as_ref().and_then(|node| node.find(method, rest, ids));
        if found.is_none() {
            ids.truncate(before);
        }
        found
    }
}

/// `/v1/customers/{id}` and `/v1/customers/{customer}` are the same path.
pub(crate) fn nameless(path: &str) -> String {
    let steps = path
        .split('/')
        .map(|step| if step.starts_with('{') { "{}" } else { step });
    steps.collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// What is in the table and has no handler yet; whoever writes the handler takes it out of here.
    const UNANSWERED: &[&str] = &[];

    #[test]
    fn every_operation_of_the_table_is_answered_or_listed_here() {
        let answered: BTreeSet<String> = resources::operations()
            .map(|one| format!("{} {}", one.method, nameless(one.path)))
            .collect();
        let without: Vec<String> = table::signatures()
            .unwrap()
            .iter()
            .filter(|one| !answered.contains(&format!("{} {}", one.method, nameless(one.path))))
            .map(|one| format!("{} {}", one.method, one.path))
            .collect();
        assert_eq!(without, UNANSWERED);
    }

    #[test]
    fn a_fixed_step_goes_before_an_id_where_both_would_do() {
        let routes = Routes::new().unwrap();
        let found = |method: &str, path: &str| {
            let (route, ids) = routes.find(method, path)?;
            Some((route.operation.path, ids))
        };
        let none: Vec<String> = Vec::new();
        assert_eq!(
            found("GET", "/v1/customers/search"),
            Some(("/v1/customers/search", none))
        );
        assert_eq!(
            found("POST", "/v1/customers/search"),
            Some(("/v1/customers/{id}", vec!["search".to_owned()]))
        );
        assert_eq!(
            found("GET", "/v1/customers/a%2Fb/payment_methods/c"),
            Some((
                "/v1/customers/{customer}/payment_methods/{id}",
                vec!["a/b".to_owned(), "c".to_owned()]
            ))
        );
        for (method, path) in [
            ("PUT", "/v1/customers"),
            ("GET", "/v1/customers/"),
            ("GET", "/v1/customers/a/b"),
            ("GET", "/v1"),
            ("GET", ""),
        ] {
            assert_eq!(found(method, path), None, "{method} {path}");
        }
    }
}
