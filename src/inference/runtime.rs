//! ONNX Runtime, loaded at run time, and the execution provider that was asked for.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use ort::environment::Environment;
use ort::ep::CUDA;
use ort::session::Session;
use serde::{Deserialize, Serialize};

use super::InferenceError;

/// Where networks run. There is no automatic choice: what is configured is used, or the start fails and says why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Execution {
    /// NVIDIA GPU through the CUDA execution provider.
    Cuda,
    /// The processor.
    Cpu,
}

impl fmt::Display for Execution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Execution {
    /// The name in configuration, logs and health.
    pub const fn name(self) -> &'static str {
        match self {
            Execution::Cuda => "cuda",
            Execution::Cpu => "cpu",
        }
    }
}

/// The `[inference]` section of the configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InferenceConfig {
    /// Where networks run.
    pub execution: Execution,
    /// CUDA device number; only with `cuda`.
    pub cuda_device: i32,
    /// Threads of one network on the processor; 0 takes one per core.
    pub threads: usize,
    /// ONNX Runtime's shared library; by default `../onnxruntime/libonnxruntime.so*` beside the program's folder.
    pub library: Option<PathBuf>,
}

impl InferenceConfig {
    /// Every fault of this section, each beginning with the key that it is about.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if self.threads > 1024 {
            faults.push(format!("threads is {}: set 0 (one per core) to 1024", self.threads));
        }
        if self.cuda_device < 0 {
            faults.push(format!("cuda_device is {}: set the number of a device, from 0", self.cuda_device));
        }
        if self.library.as_ref().is_some_and(|path| !path.is_file()) {
            faults.push("library names no file; leave it out to use the one that ops/setup installed".into());
        }
        faults
    }
}

impl Default for InferenceConfig {
    fn default() -> Self {
        Self { execution: Execution::Cpu, cuda_device: 0, threads: 0, library: None }
    }
}

/// ONNX Runtime with its library loaded. That the provider works is proven by [`super::Model::load`], which runs each
/// network once.
pub struct Runtime {
    environment: Environment,
    config: InferenceConfig,
    library: PathBuf,
}

/// ONNX Runtime keeps one environment per process; a second is made only when the first is gone.
static LIVE: Mutex<Option<(PathBuf, Environment)>> = Mutex::new(None);

impl Runtime {
    /// Loads the library. Whether the provider works shows when the first network is loaded and run once: failures to
    /// register it are errors, never a fallback.
    ///
    /// # Errors
    /// [`InferenceError::LibraryMissing`], [`InferenceError::Library`].
    pub fn load(config: &InferenceConfig) -> Result<Self, InferenceError> {
        let library = match &config.library {
            Some(path) => path.clone(),
            None => find_library()?,
        };
        let failed = |reason: String| InferenceError::Library { path: library.clone(), reason };
        if !library.is_file() {
            return Err(failed("there is no such file".into()));
        }
        let mut live = LIVE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let environment = match live.as_ref() {
            Some((loaded, environment)) if *loaded == library => environment.clone(),
            Some((loaded, _)) => {
                return Err(failed(format!("this process already uses {}", loaded.display())));
            }
            None => {
                let environment = ort::init_from(&library)
                    .map_err(|e| failed(e.to_string()))?
                    .with_name("contourd")
                    .with_telemetry(false)
                    .build()
                    .map_err(|e| failed(e.to_string()))?;
                *live = Some((library.clone(), environment.clone()));
                environment
            }
        };
        Ok(Self { environment, config: config.clone(), library })
    }

    /// The provider in force.
    pub fn execution(&self) -> Execution {
        self.config.execution
    }

    /// The library in use.
    pub fn library(&self) -> &Path {
        &self.library
    }

    /// A session for a network on the configured provider.
    ///
    /// # Errors
    /// [`InferenceError::Provider`] when the provider cannot be used, [`InferenceError::File`] for a bad network.
    pub(super) fn session(&self, path: &Path, bytes: &[u8]) -> Result<Session, InferenceError> {
        let execution = self.config.execution;
        let provider = |reason: String| InferenceError::Provider { wanted: execution.name(), reason };
        let file = |reason: String| InferenceError::File { path: path.to_owned(), reason };
        let mut builder = Session::builder(&self.environment).map_err(|e| file(e.to_string()))?;
        match execution {
            Execution::Cuda => {
                // Fixed tile shapes and a heuristic search: EXHAUSTIVE varies between sessions and costs seconds.
                let cuda = CUDA::default()
                    .with_device_id(self.config.cuda_device)
                    .with_conv_algorithm_search(ort::ep::cuda::ConvAlgorithmSearch::Heuristic)
                    .with_tf32(false)
                    .build()
                    .error_on_failure();
                builder = builder.with_execution_providers([cuda]).map_err(|e| provider(e.to_string()))?;
                // A node without a CUDA kernel would run on the processor, and nobody would be told.
                builder = builder.with_disable_cpu_fallback().map_err(|e| provider(e.to_string()))?;
            }
            Execution::Cpu => {
                let threads = match self.config.threads {
                    0 => std::thread::available_parallelism().map_or(1, |n| n.get()),
                    n => n,
                };
                // Spinning threads gain nothing measurable on an idle machine and cost several times on a busy one.
                builder = builder.with_intra_threads(threads).map_err(|e| provider(e.to_string()))?;
                builder = builder.with_intra_op_spinning(false).map_err(|e| provider(e.to_string()))?;
            }
        }
        builder.commit_from_memory(bytes).map_err(|e| match execution {
            Execution::Cuda => provider(e.to_string()),
            Execution::Cpu => file(e.to_string()),
        })
    }
}

/// Looks beside the program: `<folder of the program>/../onnxruntime` holds the files of the wheel's `capi` folder.
fn find_library() -> Result<PathBuf, InferenceError> {
    let mut looked = Vec::new();
    let program = std::env::current_exe().ok();
    // target/release/contourd -> target/onnxruntime; target/release/deps/test -> the same.
    for folder in program.iter().flat_map(|p| p.ancestors().skip(2).take(2)) {
        let folder = folder.join("onnxruntime");
        let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten();
        let mut found: Vec<PathBuf> = entries
            .map(|e| e.path())
            .filter(|p| p.file_name().and_then(|n| n.to_str()).is_some_and(|n| n.starts_with("libonnxruntime.so")))
            .collect();
        found.sort_by_cached_key(|path| version(path));
        if let Some(path) = found.pop() {
            return Ok(path);
        }
        looked.push(folder.display().to_string());
    }
    Err(InferenceError::LibraryMissing(looked.join(", ")))
}

/// The numbers of a name like `libonnxruntime.so.1.32.0`: 1.32 comes after 1.9.
fn version(library: &Path) -> Vec<u64> {
    let name = library.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    name.split('.').filter_map(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_ordered_by_their_numbers() {
        let name = |of: &str| version(Path::new("/opt").join(format!("libonnxruntime.so{of}")).as_path());
        assert!(name(".1.9.0") < name(".1.32.0") && name(".1.32.0") < name(".1.32.1") && name("") < name(".1.9.0"));
    }
}
