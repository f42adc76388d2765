//! Compiles the specimen's protos as `libs/proto` does those of the suite.

use std::path::PathBuf;

const OWN: &str = "proto";
const IMPORTED: [&str; 2] = ["../../proto", "../../third_party/proto"];
/// The specimen's, and the reasons it shares with all services.
const FILES: [&str; 4] = [
    "counterfoil/specimen/v1/specimen.proto",
    "counterfoil/specimen/v1/specimen_service.proto",
    "counterfoil/specimen/v1/error_reason.proto",
    "counterfoil/common/v1/error_reason.proto",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut compiler = protox::Compiler::new([OWN].into_iter().chain(IMPORTED))?;
    compiler.include_source_info(true).include_imports(true);
    compiler.open_files(FILES)?;
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    std::fs::write(
        out.join("file_descriptor_set.bin"),
        compiler.encode_file_descriptor_set(),
    )?;
    let mut config = tonic_prost_build::Config::new();
    config.enable_type_names();
    tonic_prost_build::configure()
        .btree_map(".")
        .extern_path(".counterfoil.common.v1", "::counterfoil_proto::common::v1")
        .compile_fds_with_config(compiler.file_descriptor_set(), config)?;
    for folder in [OWN].into_iter().chain(IMPORTED) {
        println!("cargo::rerun-if-changed={folder}");
    }
    Ok(())
}
