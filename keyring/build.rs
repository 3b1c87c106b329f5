//! Compiles the protocol of the admin interface without an external compiler.

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    println!("cargo::rerun-if-changed=proto");
    let descriptors = protox::compile(["keyring/admin/v1/admin.proto"], ["proto"])?;
    let out = std::path::PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("admin.bin"), prost::Message::encode_to_vec(&descriptors))?;
    // The same facts are given to programs as JSON: one type, two forms.
    tonic_prost_build::configure().type_attribute(".", "#[derive(serde::Serialize)]").compile_fds(descriptors)?;
    Ok(())
}
