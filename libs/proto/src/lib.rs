//! Messages, clients and servers generated from `proto/` by `build.rs`. Modules mirror packages:
//! `use counterfoil_proto::billing::v1 as pb`.

mod reason;

pub use reason::Reason;

/// The descriptors of every file under `proto/` and its imports, encoded, for reflection and for rules that are read
/// from descriptors.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/file_descriptor_set.bin"));

macro_rules! package {
    ($package:ident, $name:literal $(, $service_config:ident)?) => {
        #[doc = concat!("Package `", $name, "`.")]
        pub mod $package {
            /// Version 1.
            #[allow(
                missing_docs,
                clippy::all,
                clippy::allow_attributes_without_reason,
                clippy::as_conversions,
                clippy::arithmetic_side_effects,
                unreachable_pub,
                rustdoc::all,
                reason = "generated"
            )]
            pub mod v1 {
                tonic::include_proto!($name);
                $(
                    /// How clients of this package wait and repeat: the gRPC service config beside its protos, JSON.
                    /// Source: <https://github.com/grpc/grpc/blob/master/doc/service_config.md>.
                    pub const $service_config: &str = include_str!(concat!(
                        "../../../proto/counterfoil/",
                        stringify!($package),
                        "/v1/",
                        stringify!($package),
                        "_grpc_service_config.json",
                    ));
                )?
            }
        }
    };
}

package!(billing, "counterfoil.billing.v1", SERVICE_CONFIG);
package!(common, "counterfoil.common.v1");
package!(connect, "counterfoil.connect.v1", SERVICE_CONFIG);
package!(customer, "counterfoil.customer.v1", SERVICE_CONFIG);
package!(event, "counterfoil.event.v1", SERVICE_CONFIG);
package!(tax, "counterfoil.tax.v1", SERVICE_CONFIG);

/// The rules on fields, as [protovalidate](https://protovalidate.com) publishes them.
pub mod buf {
    /// Package `buf.validate`.
    #[allow(
        missing_docs,
        clippy::all,
        clippy::allow_attributes_without_reason,
        clippy::as_conversions,
        clippy::arithmetic_side_effects,
        unreachable_pub,
        rustdoc::all,
        reason = "generated"
    )]
    pub mod validate {
        tonic::include_proto!("buf.validate");
    }
}
