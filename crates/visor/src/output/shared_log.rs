//! Log messages that many outputs share: a disk that is full makes a thousand outputs fail, for one
//! reason. The first one's message is logged, with the number of the others.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tracing::Level;

/// How long messages are collected.
const COLLECTED: Duration = Duration::from_millis(200);

/// The messages that are being collected, by what they have in common.
#[derive(Default)]
pub(crate) struct SharedLog(Mutex<HashMap<String, Message>>);

struct Message {
    level: Level,
    output: String,
    text: String,
    others: usize,
}

impl SharedLog {
    /// Logs a message about an output soon, together with those of other outputs that have the same
    /// `cause`.
    pub(crate) fn log(self: &Arc<Self>, level: Level, cause: &str, output: &str, text: String) {
        let key = format!("{level} {cause}");
        let mut messages = self.messages();
        if let Some(first) = messages.get_mut(&key) {
            first.others += 1;
            return;
        }
        let first = Message { level, output: output.to_owned(), text, others: 0 };
        messages.insert(key.clone(), first);
        drop(messages);
        let log = Arc::clone(self);
        tokio::spawn(async move {
            tokio::time::sleep(COLLECTED).await;
            let message = log.messages().remove(&key);
            message.iter().for_each(Message::write);
        });
    }

    /// Logs what is being collected.
    pub(crate) fn flush(&self) {
        let messages = std::mem::take(&mut *self.messages());
        messages.values().for_each(Message::write);
    }

    fn messages(&self) -> MutexGuard<'_, HashMap<String, Message>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Message {
    fn write(&self) {
        let Self { level, output, text, others } = self;
        let text = match others {
            0 => text.clone(),
            1 => format!("{text} (and 1 more output)"),
            _ => format!("{text} (and {others} more outputs)"),
        };
        match *level {
            Level::ERROR => tracing::error!(output, "{text}"),
            Level::WARN => tracing::warn!(output, "{text}"),
            _ => tracing::info!(output, "{text}"),
        }
    }
}
