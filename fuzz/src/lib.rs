//! What each fuzz target does with its input. A property that does not hold is a panic.
//!
//! It stands apart from libFuzzer, so that the corpus is replayed by a test with the pinned compiler.

#![forbid(unsafe_code)]

macro_rules! targets {
    ($($name:ident)*) => {
        $(pub mod $name;)*

        /// Every target by its name, which is that of its folder in `corpus/`.
        pub const TARGETS: &[(&str, fn(&[u8]))] = &[$((stringify!($name), $name::check)),*];
    };
}

targets! {
    access_policy
    certificate
    checkpoint
    esdk_frames
    esdk_header
    event_value
    key_file
    key_set
    key_version_record
    local_key_row
    local_kms_blob
    native_stream
    request
    rule
    sealed_bytes
    section_tables
    token
    token_policy
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    /// The inputs that are kept of a target, with their names.
    fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
        let Ok(files) = fs::read_dir(folder) else { return Vec::new() };
        let mut inputs: Vec<_> = files
            .map(|file| file.unwrap())
            .map(|file| (file.file_name().into_string().unwrap(), fs::read(file.path()).unwrap()))
            .collect();
        inputs.sort();
        inputs
    }

    #[test]
    fn every_input_of_the_corpus_passes_its_target() {
        for (name, check) in TARGETS {
            let inputs = corpus(name);
            println!("{name}: {} inputs", inputs.len());
            for (file, input) in inputs {
                // The last line before a failure.
                println!("  {file}");
                check(&input);
            }
        }
    }

    #[test]
    fn no_input_is_all_that_it_takes() {
        for (_, check) in TARGETS {
            check(&[]);
        }
    }

    #[test]
    fn each_target_has_a_program_and_each_folder_a_target() {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
        let names = |folder: &str| {
            let files = fs::read_dir(manifest.join(folder)).unwrap().map(|file| file.unwrap().path());
            let mut names: Vec<String> =
                files.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
            names.sort();
            names
        };
        let targets: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
        assert_eq!(names("fuzz_targets"), targets);
        assert!(names("corpus").iter().all(|folder| targets.contains(&folder.as_str())));
    }
}
