mod bystanders;
mod candidates;
mod churn;
mod flood;
mod invalid_media;
mod limits;
mod line;
mod loss;
#[path = "../http/program.rs"]
mod program;
mod server;
mod slow_viewer;
mod socket;
mod stop;
mod vanished;
mod wrong_fingerprint;
