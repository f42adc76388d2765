//! Compiles proto/ with protox, so that no protoc needs to be installed.

use std::path::{Path, PathBuf};

/// What others published, imported by ours.
const THIRD_PARTY: &str = "../../third_party/proto";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = Path::new("../../proto");
    let mut files = Vec::new();
    collect(root, &mut files)?;
    files.sort();

    let mut compiler = protox::Compiler::new([root, Path::new(THIRD_PARTY)])?;
    compiler
        .include_source_info(true)
        .include_imports(true)
        .open_files(&files)?;
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    // Written from protox's own bytes: they keep custom options, which prost-types drops.
    std::fs::write(
        out.join("file_descriptor_set.bin"),
        compiler.encode_file_descriptor_set(),
    )?;
    let mut config = tonic_prost_build::Config::new();
    // A message's rules are found by its name (see `chassis::accept`).
    config.enable_type_names();
    tonic_prost_build::configure()
        // A map's order must not change a request's hash (see `store::claim`).
        .btree_map(".")
        .compile_fds_with_config(compiler.file_descriptor_set(), config)?;
    println!("cargo::rerun-if-changed=../../proto");
    println!("cargo::rerun-if-changed={THIRD_PARTY}");
    Ok(())
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "proto") {
            files.push(path);
        }
    }
    Ok(())
}
