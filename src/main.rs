//! Arguments, configuration, logs; then the server until a signal ends it.

use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use tessera::bots::BotsError;
use tessera::cli::{BotsFlags, Cli, PipelinesFlags, ServeFlags, Task};
use tessera::config::{Config, LogFormat, Server};
use tessera::media::Templates;
use tessera::pipelines::PipelinesError;
use tessera::process;
use tessera::room::{Rooms, RoomsError};
use tessera::settings::SettingsError;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// What the process ends with when a second signal cuts it short.
const CUT_SHORT: i32 = 130;
/// How long threads that are still busy get at the end.
const RUNTIME_DEADLINE: Duration = Duration::from_millis(200);

/// Why a task came to nothing.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    // No source: its own would say the same again.
    #[error("server.log: {0}")]
    LogFilter(tracing_subscriber::filter::ParseError),
    #[error("the runtime does not start: {0}")]
    Runtime(std::io::Error),
    #[error("cannot listen on {address}")]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error(transparent)]
    Bots(#[from] BotsError),
    #[error(transparent)]
    Rooms(#[from] RoomsError),
    #[error(transparent)]
    Pipelines(#[from] PipelinesError),
    #[error("nothing can be printed: {0}")]
    Print(std::io::Error),
}

fn main() -> ExitCode {
    tessera::allocator::settle();
    let result = match Cli::parse().task {
        Task::Serve(flags) => serve(flags),
        Task::Bots(flags) => bots(*flags),
        Task::Pipelines(flags) => pipelines(flags),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("tessera: {failure}");
            let mut source = std::error::Error::source(&failure);
            while let Some(cause) = source {
                eprintln!("  because: {cause}");
                source = cause.source();
            }
            ExitCode::FAILURE
        }
    }
}

fn serve(flags: ServeFlags) -> Result<(), Failure> {
    let config = flags.load()?;
    log_to_stderr(&config.server)?;
    process::raise_limits();
    let mut threads = tokio::runtime::Builder::new_multi_thread();
    threads.enable_all().max_blocking_threads(process::BLOCKING_THREADS);
    let runtime = threads.build().map_err(Failure::Runtime)?;
    let result = runtime.block_on(serve_until_signal(Arc::new(config)));
    runtime.shutdown_timeout(RUNTIME_DEADLINE);
    result
}

fn bots(flags: BotsFlags) -> Result<(), Failure> {
    let config = flags.load()?;
    log_to_stderr(&config.server)?;
    let runtime = tokio::runtime::Runtime::new().map_err(Failure::Runtime)?;
    let result = runtime.block_on(tessera::bots::run(config.bots, config.server.pipelines.as_deref()));
    runtime.shutdown_timeout(RUNTIME_DEADLINE);
    Ok(result?)
}

fn pipelines(flags: PipelinesFlags) -> Result<(), Failure> {
    let config = flags.load()?;
    let templates = Templates::load(config.server.pipelines.as_deref()).map_err(PipelinesError::from)?;
    let text = tessera::pipelines::run(flags.action, &templates)?;
    std::io::stdout().write_all(text.as_bytes()).map_err(Failure::Print)
}

async fn serve_until_signal(config: Arc<Config>) -> Result<(), Failure> {
    let terminate = signal(SignalKind::terminate()).map_err(Failure::Runtime)?;
    let interrupt = signal(SignalKind::interrupt()).map_err(Failure::Runtime)?;
    let address = config.server.listen;
    let listener = TcpListener::bind(address).await.map_err(|source| Failure::Listen { address, source })?;
    let rooms = Rooms::new(Arc::clone(&config))?;
    let address = listener.local_addr().map_err(|source| Failure::Listen { address, source })?;
    tracing::info!("listening on http://{address}");
    tessera::server::run(listener, config, rooms, stop_signal(terminate, interrupt)).await;
    tracing::info!("stopped");
    Ok(())
}

/// Ready at the first signal. The second one ends the process at once, for those who cannot wait.
async fn stop_signal(mut terminate: Signal, mut interrupt: Signal) {
    either(&mut terminate, &mut interrupt).await;
    tokio::spawn(async move {
        either(&mut terminate, &mut interrupt).await;
        #[expect(clippy::disallowed_methods, reason = "asked for twice: whoever signals again wants no orderly end")]
        std::process::exit(CUT_SHORT);
    });
}

async fn either(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

fn log_to_stderr(server: &Server) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(&server.log).map_err(Failure::LogFilter)?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match server.log_format {
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).init(),
        LogFormat::Json => lines.json().flatten_event(true).init(),
    }
    Ok(())
}
