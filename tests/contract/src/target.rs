//! What is checked: services at their addresses, what their descriptors say, and what a call of each method may look like.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, try_join_all};
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, FieldDescriptor, MessageDescriptor, MethodDescriptor, Value};
use uuid::Uuid;

use crate::wire::{Answer, Wire, framed};

/// Services that promise the same.
pub struct Target {
    /// All that their descriptors say.
    pub pool: DescriptorPool,
    /// A connection to each of them, by its full name.
    pub services: BTreeMap<String, Wire>,
    /// Connections to the same, where the longest deadline is short enough to be waited for.
    pub hasty: BTreeMap<String, Wire>,
    /// What may be asked of each method, by its path.
    pub examples: BTreeMap<String, Example>,
    /// What the names in braces in the examples stand for.
    pub names: BTreeMap<&'static str, String>,
    /// What happens to each list while it is read, by its method's path.
    pub lists: BTreeMap<String, List>,
    /// How many audit rows have this idempotency key.
    pub audited: Audited,
    /// The token of somebody whom no row of the policy names.
    pub stranger: String,
    /// The token of somebody, not `dev`, who may call everything.
    pub colleague: String,
    /// How many of the texts that must be refused are tried in each place.
    pub samples: usize,
    /// The longest message that is taken.
    pub max_message_bytes: usize,
}

/// What may be asked of a method, in protobuf's text format. `{key}` is a new idempotency key each time.
#[derive(Debug, Clone, Copy)]
pub struct Example {
    /// The method, as `/package.Service/Method`.
    pub method: &'static str,
    /// A request that succeeds.
    pub request: &'static str,
    /// Another one that may not be made with the key of the first; empty where the method has no key.
    pub other: &'static str,
    /// Fields of the answer that are new in each.
    pub fresh: &'static [&'static str],
}

/// A list that is written to while it is read.
#[derive(Clone)]
pub struct List {
    /// What is listed, with `page_size`.
    pub request: &'static str,
    /// Another filter, or another list.
    pub other: &'static str,
    /// The way to an item's id: `envelope.event_id`.
    pub id: &'static str,
    /// What happens before the first page (0) and after each page, of which it is told the last id. Says what it deleted.
    pub writes: Writes,
}

/// How many audit rows have an idempotency key.
pub type Audited = Arc<dyn Fn(String) -> BoxFuture<'static, Result<i64, String>> + Send + Sync>;

/// What happens to a list.
pub type Writes = Arc<dyn Fn(usize, String) -> BoxFuture<'static, Result<Vec<String>, String>> + Send + Sync>;

impl Target {
    /// Connects to each service by its full name.
    ///
    /// # Errors
    /// When one is not there.
    pub async fn connect(
        services: &[(&str, SocketAddr)],
        patience: Duration,
    ) -> Result<BTreeMap<String, Wire>, String> {
        let connected = services.iter().map(async |(name, addr)| {
            let wire = Wire::connect(*addr, patience).await?;
            Ok::<_, String>(((*name).to_owned(), wire))
        });
        Ok(try_join_all(connected).await?.into_iter().collect())
    }

    /// Every method of every service.
    #[must_use]
    pub fn methods(&self) -> Vec<MethodDescriptor> {
        let services = self
            .services
            .keys()
            .map(|name| self.pool.get_service_by_name(name).unwrap());
        services
            .flat_map(|service| service.methods().collect::<Vec<_>>())
            .collect()
    }

    /// Every method that takes one message and answers with one.
    #[must_use]
    pub fn unary(&self) -> Vec<MethodDescriptor> {
        let mut methods = self.methods();
        methods.retain(|method| !method.is_client_streaming() && !method.is_server_streaming());
        methods
    }

    /// The connection to a method's service.
    #[must_use]
    pub fn wire(&self, method: &MethodDescriptor) -> &Wire {
        &self.services[method.parent_service().full_name()]
    }

    /// What may be asked of a method.
    ///
    /// # Errors
    /// When nobody has said.
    pub fn example(&self, method: &MethodDescriptor) -> Result<&Example, String> {
        let example = self.examples.get(&path(method));
        example.ok_or_else(|| {
            format!(
                "there is no example of a request for {}: add one to the table",
                path(method)
            )
        })
    }

    /// A request that succeeds.
    ///
    /// # Errors
    /// When there is no example, or it is no such message.
    pub fn request(&self, method: &MethodDescriptor) -> Result<DynamicMessage, String> {
        self.parse(&method.input(), self.example(method)?.request)
    }

    /// The message that a text describes, its names filled in.
    ///
    /// # Errors
    /// When it describes none.
    pub fn parse(&self, descriptor: &MessageDescriptor, text: &str) -> Result<DynamicMessage, String> {
        let mut text = text.replace("{key}", &Uuid::new_v4().to_string());
        for (name, value) in &self.names {
            text = text.replace(&format!("{{{name}}}"), value);
        }
        let parsed = DynamicMessage::parse_text_format(descriptor.clone(), &text);
        parsed.map_err(|error| format!("{text} is no {}: {error}", descriptor.full_name()))
    }

    /// Calls a method as `dev`.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn call(&self, method: &MethodDescriptor, request: &DynamicMessage) -> Result<Answer, String> {
        self.call_as(method, request, None).await
    }

    /// Calls a method as the holder of `token`, where there is one.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn call_as(
        &self,
        method: &MethodDescriptor,
        request: &DynamicMessage,
        token: Option<&str>,
    ) -> Result<Answer, String> {
        let bearer = token.map(|token| format!("Bearer {token}"));
        let headers: Vec<_> = bearer.iter().map(|bearer| ("authorization", bearer.as_str())).collect();
        let body = framed(&request.encode_to_vec());
        let answer = self.wire(method).call(&path(method), &headers, body).await;
        answer.map_err(|error| format!("{}: {error}", path(method)))
    }

    /// Calls a method as `dev`, which must go well.
    ///
    /// # Errors
    /// When it does not.
    pub async fn answer(&self, method: &MethodDescriptor, request: &DynamicMessage) -> Result<DynamicMessage, String> {
        let answer = self.call(method, request).await?.message();
        let answer = answer.map_err(|error| format!("{} {error}", path(method)))?;
        DynamicMessage::decode(method.output(), answer).map_err(|error| error.to_string())
    }
}

/// A method as it stands in a call: `/package.Service/Method`.
#[must_use]
pub fn path(method: &MethodDescriptor) -> String {
    format!("/{}/{}", method.parent_service().full_name(), method.name())
}

/// Whether `google.api.field_behavior` says this of a field, by its name in capitals.
#[must_use]
pub fn behaves(field: &FieldDescriptor, as_: &str) -> bool {
    let pool = field.parent_pool();
    let Some(extension) = pool.get_extension_by_name("google.api.field_behavior") else {
        return false;
    };
    let named = pool.get_enum_by_name("google.api.FieldBehavior").unwrap();
    let number = named.get_value_by_name(as_).unwrap().number();
    let options = field.options();
    let listed = options.get_extension(&extension);
    listed
        .as_list()
        .unwrap_or_default()
        .contains(&Value::EnumNumber(number))
}

/// Whether one of our options is set on a field: `not_card`, `redirect_url`, `metadata`.
#[must_use]
pub fn marked(field: &FieldDescriptor, option: &str) -> bool {
    let extension = field
        .parent_pool()
        .get_extension_by_name(&format!("counterfoil.common.v1.{option}"));
    extension.is_some_and(|extension| field.options().get_extension(&extension).as_bool() == Some(true))
}
