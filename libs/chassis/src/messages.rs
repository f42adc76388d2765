//! The limit on the length of one message.

use futures::StreamExt;
use http_body_util::{BodyStream, StreamBody};
use tonic::Status;
use tonic::body::Body;

use crate::details::too_large;

/// Refuses messages of `request` that are longer, before a byte of them is kept. Tonic has such a limit too, 4 MiB, but one
/// that each generated server would have to be told, and that answers OUT_OF_RANGE.
pub(crate) fn limited(request: http::Request<Body>, max_bytes: u32) -> http::Request<Body> {
    let mut lengths = Lengths {
        max: max_bytes,
        head: Vec::new(),
        left: 0,
    };
    request.map(|body| {
        let frames = BodyStream::new(body).map(move |frame| {
            let frame = frame?;
            if let Some(bytes) = frame.data_ref() {
                lengths.pass(bytes)?;
            }
            Ok::<_, Status>(frame)
        });
        Body::new(StreamBody::new(frames))
    })
}

/// Where in its messages a body is. Each is preceded by five bytes: whether it is compressed, and its length.
/// Source: <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>.
struct Lengths {
    max: u32,
    /// Of those five bytes, the ones that have come.
    head: Vec<u8>,
    /// How much of the message that has begun is still to come.
    left: usize,
}

impl Lengths {
    fn pass(&mut self, mut bytes: &[u8]) -> Result<(), Status> {
        while let Some((&first, rest)) = bytes.split_first() {
            if self.left > 0 {
                let passed = self.left.min(bytes.len());
                self.left = self.left.saturating_sub(passed);
                bytes = bytes.get(passed..).unwrap_or_default();
                continue;
            }
            self.head.push(first);
            bytes = rest;
            if let [_, length @ ..] = self.head.as_slice()
                && let Ok(length) = <[u8; 4]>::try_from(length)
            {
                let length = u32::from_be_bytes(length);
                if length > self.max {
                    return Err(too_large(self.max));
                }
                self.left = usize::try_from(length).unwrap_or(usize::MAX);
                self.head.clear();
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(length: usize) -> Vec<u8> {
        let mut bytes = vec![0];
        bytes.extend(u32::try_from(length).unwrap().to_be_bytes());
        bytes.extend(std::iter::repeat_n(0xff, length));
        bytes
    }

    #[test]
    fn lengths_are_read_however_the_bytes_are_cut() {
        let good: Vec<u8> = [0, 10, 3, 0, 0, 10].into_iter().flat_map(message).collect();
        let bad: Vec<u8> = good.iter().copied().chain(message(11)).collect();
        for cut in 1..=good.len() {
            for (bytes, passes) in [(&good, true), (&bad, false)] {
                let mut lengths = Lengths {
                    max: 10,
                    head: Vec::new(),
                    left: 0,
                };
                let passed = bytes.chunks(cut).try_for_each(|chunk| lengths.pass(chunk));
                assert_eq!(passed.is_ok(), passes, "cut every {cut}");
            }
        }
    }
}
