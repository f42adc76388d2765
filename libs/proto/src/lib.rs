//! Messages, clients and servers generated from `proto/` by `build.rs`. Modules mirror packages:
//! `use counterfoil_proto::billing::v1 as pb`.

mod reason;

pub use reason::Reason;

/// The descriptors of every file under `proto/` and its imports, encoded, for reflection and for rules that are read
/// from descriptors.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/file_descriptor_set.bin"));

/// A module of generated code.
macro_rules! generated {
    ($(#[$doc:meta])* $module:ident, $name:literal $(, $more:item)?) => {
        $(#[$doc])*
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
        pub mod $module {
            tonic::include_proto!($name);
            $($more)?
        }
    };
}

/// A package of ours, and how its clients wait and repeat, where it has services.
macro_rules! package {
    ($package:ident, $name:literal $(, $service_config:ident)?) => {
        #[doc = concat!("Package `", $name, "`.")]
        pub mod $package {
            generated!(
                /// Version 1.
                v1, $name
                $(,
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
            );
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
    generated!(
        /// Package `buf.validate`.
        validate, "buf.validate"
    );
}

/// What others have published of themselves, as [googleapis](https://github.com/googleapis/googleapis) has it.
pub mod google {
    generated!(
        /// Package `google.api`.
        api, "google.api"
    );
}
