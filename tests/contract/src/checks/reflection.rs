//! Reflection lists each service, and describes it as we know it.

use prost::Message;
use prost_types::FileDescriptorProto;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::v1::{ServerReflectionRequest, ServerReflectionResponse};

use super::ensure;
use crate::target::Target;
use crate::wire::{Wire, framed};

const INFO: &str = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";

pub(super) async fn check(target: &Target) -> Result<(), String> {
    for (service, wire) in &target.services {
        let listed = match ask(wire, MessageRequest::ListServices(String::new())).await? {
            MessageResponse::ListServicesResponse(list) => list.service,
            other => return Err(format!("{service} lists its services as {other:?}")),
        };
        ensure(listed.iter().any(|one| one.name == *service), || {
            format!("reflection does not list {service}: {listed:?}")
        })?;
        let files = match ask(wire, MessageRequest::FileContainingSymbol(service.clone())).await? {
            MessageResponse::FileDescriptorResponse(files) => files.file_descriptor_proto,
            other => return Err(format!("{service} is described as {other:?}")),
        };
        let methods: Vec<String> = files
            .iter()
            .filter_map(|file| FileDescriptorProto::decode(&**file).ok())
            .flat_map(|file| file.service)
            .filter(|described| service.ends_with(&format!(".{}", described.name())))
            .flat_map(|described| described.method)
            .map(|method| method.name().to_owned())
            .collect();
        let known = target.pool.get_service_by_name(service).unwrap();
        let known: Vec<_> = known.methods().map(|method| method.name().to_owned()).collect();
        ensure(methods == known, || {
            format!("reflection describes {service} with {methods:?}")
        })?;
    }
    Ok(())
}

async fn ask(wire: &Wire, request: MessageRequest) -> Result<MessageResponse, String> {
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(request),
    };
    let answer = wire
        .call(INFO, &[], framed(&request.encode_to_vec()))
        .await?
        .message()?;
    let answer = ServerReflectionResponse::decode(answer).map_err(|error| error.to_string())?;
    answer
        .message_response
        .ok_or_else(|| "reflection says nothing".to_owned())
}
