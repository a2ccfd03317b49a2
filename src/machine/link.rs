//! The link to one machine: connect, listen, and when it breaks come back, for ever.
//!
//! Whoever comes back goes on where he was as far as the machine allows (Part 4 §6.7): with the
//! same session, else with the same subscription in another session, else with everything read
//! anew and the machine's own history. What then is still missing is a marked gap.

mod beside;

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use opcua::types::StatusCode;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::beside::pulse;
use super::arrive::{Arrival, Held, arrive};
use super::backfill;
use super::backoff::Backoff;
use super::client::{Dialer, Failure, Found, Notification, Session, Subscribed, Target};
use super::flow::{FlowEnd, Lost};
use super::forward::Forward;
use super::items::{BRIDGED, Item, Watch};
use super::listening::{Flows, Heard, Listening};
use super::mirror::{Common, MirrorWatch};
use super::recognising::Recognisers;
use super::survey::{Pulse, Survey};
use super::{MachineConnection, duration};
use crate::app::clock::Clock;
use crate::app::connection::{Connection, ConnectionState, Connections};
use crate::app::engine::EngineHandle;
use crate::mirror::{Mirror, Mirrors};

/// How long the first values of all items may take.
const FIRST_VALUES: Duration = Duration::from_secs(5);
/// How often a subscription without news says that it lives.
const KEEP_ALIVE: Duration = Duration::from_secs(1);
/// What every link works with.
#[derive(Clone)]
pub struct MachineLink {
    /// Where values go.
    pub engine: EngineHandle,
    /// Where people see how the links are.
    pub connections: Connections,
    /// Where what is mirrored of machines is shown.
    pub mirrors: Mirrors,
    /// What machines declare of their events.
    pub common: Common,
    /// Where it is told what machines are.
    pub recognisers: Recognisers,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// How machines are reached.
    pub dialer: Arc<Dialer>,
    /// Ends all links.
    pub stop: CancellationToken,
}

/// Starts the task of a machine.
pub fn start(link: MachineLink, connection: MachineConnection) -> JoinHandle<()> {
    tokio::spawn(async move {
        let machine = connection.machine.clone();
        if let Err(error) = run(link, Arc::new(connection)).await {
            tracing::error!(%machine, %error, "what the machine tells cannot be stored any more");
        }
    })
}

/// Why a stay with a machine has ended.
enum End {
    /// The machine or the connection; come back.
    Broken(String),
    /// Nothing can be stored any more.
    Stopped(String),
}

impl From<String> for End {
    fn from(error: String) -> End {
        End::Stopped(error)
    }
}

impl From<Failure> for End {
    fn from(failure: Failure) -> End {
        End::Broken(failure.to_string())
    }
}

async fn run(link: MachineLink, connection: Arc<MachineConnection>) -> Result<(), String> {
    let machine = &connection.machine;
    let forward = Forward::new(link.clone(), connection.clone()).await?;
    let seed = machine.as_str().bytes().fold(17_u64, |seed, b| seed * 31 + u64::from(b));
    let mut backoff = Backoff::new(seed);
    let mut stay = Stay {
        link: link.clone(),
        connection: connection.clone(),
        forward,
        endpoint: 0,
        held: None,
        session: None,
        mirror: connection.mirror.as_ref().map(|scope| {
            let every = scope.record_every.unwrap_or(connection.sampling_interval);
            link.mirrors.begin(machine, scope.linger, scope.key(), duration(every))
        }),
    };
    let ended = stay.for_ever(&mut backoff).await;
    if let Some(mirror) = &stay.mirror {
        link.mirrors.end(mirror);
    }
    ended
}

/// With a machine, from one connection to the next.
struct Stay {
    link: MachineLink,
    connection: Arc<MachineConnection>,
    forward: Forward,
    /// Which of its endpoints is used, counted on.
    endpoint: usize,
    /// What the machine may still have of us, and at which endpoint.
    held: Option<(usize, Box<Held>)>,
    session: Option<Arc<Session>>,
    /// What our server shows of it, if anything.
    mirror: Option<Arc<Mirror>>,
}

impl Stay {
    /// Comes back again and again until told to stop.
    async fn for_ever(&mut self, backoff: &mut Backoff) -> Result<(), String> {
        self.show(|board| board.since = self.link.clock.now());
        let mut last_logged = String::new();
        while !self.link.stop.is_cancelled() {
            let began = Instant::now();
            let stop = self.link.stop.clone();
            let end = tokio::select! {
                end = self.once() => end,
                () = stop.cancelled() => return self.leave().await,
            };
            let was_up = self.forward.is_up();
            self.down().await?;
            let error = match end {
                End::Broken(error) => error,
                End::Stopped(error) => return Err(error),
            };
            let session = self.session.take();
            if let (Some(session), None) = (session, &self.held) {
                // Nobody comes back to this one.
                session.close().await;
            }
            if was_up {
                backoff.reset(began.elapsed());
            } else {
                self.endpoint += 1;
            }
            // The same error again and again is one line in the log; the board always shows it.
            if error != last_logged {
                let machine = &self.connection.machine;
                tracing::warn!(%machine, endpoint = self.target().url, "{error}");
                last_logged.clone_from(&error);
            }
            self.show_broken(error);
            tokio::select! {
                () = tokio::time::sleep(backoff.wait()) => {}
                () = stop.cancelled() => {}
            }
        }
        Ok(())
    }

    /// The endpoint that is used; the others stand by.
    fn target(&self) -> &Target {
        let targets = &self.connection.targets;
        &targets[self.endpoint % targets.len()]
    }

    /// Connects and listens until that ends.
    async fn once(&mut self) -> End {
        match self.try_once().await {
            Ok(never) => match never {},
            Err(end) => end,
        }
    }

    async fn try_once(&mut self) -> Result<Infallible, End> {
        let url = self.target().url.clone();
        self.show(|board| board.endpoint = url);
        let (session, held) = match self.arrive().await? {
            Arrival::Again(session, held) => (Arc::new(*session), Ok(held)),
            Arrival::New(session, found) => (Arc::new(*session), Err(found)),
        };
        self.session = Some(session.clone());
        let survey = match Survey::of(&session, &*self.link.clock).await {
            Ok(survey) => survey,
            Err(failure) => {
                // What the machine still has for us stays ours.
                self.held = held.ok().map(|held| (self.endpoint, held));
                return Err(failure.into());
            }
        };
        let mut listening = Listening::new(session.clone());
        match held {
            Ok(held) if held.survey.namespaces == survey.namespaces => {
                self.forward.measure(survey.clock.as_ref());
                self.held = Some((self.endpoint, held));
                self.go_on(&session, &mut listening).await
            }
            // What was watched is somewhere else now.
            Ok(held) => {
                session.unsubscribe(held.flows.signals.subscription().id).await?;
                for subscription in held.flows.mirrored() {
                    session.unsubscribe(subscription).await?;
                }
                self.begin(&session, &mut listening, held.found, survey).await
            }
            Err(found) => self.begin(&session, &mut listening, *found, survey).await,
        }
    }

    async fn arrive(&mut self) -> Result<Arrival, Failure> {
        let target = self.target().clone();
        let number = self.endpoint % self.connection.targets.len();
        // What another endpoint holds stays held there until this one works.
        let here =
            self.held.take_if(|(endpoint, _)| *endpoint % self.connection.targets.len() == number);
        let mut held = here.map(|(_, held)| held);
        let arrived = arrive(&self.link.dialer, &target, &mut held).await;
        if let Some(held) = held {
            self.held = Some((number, held));
        }
        arrived
    }

    /// Goes on where we were.
    async fn go_on(
        &mut self,
        session: &Arc<Session>,
        listening: &mut Listening,
    ) -> Result<Infallible, End> {
        if let Some((_, held)) = &mut self.held {
            held.passport = session.passport().clone();
            let caught_up = held.flows.catch_up(session).await;
            let lost = self.flowing(session, caught_up).await?.unwrap_or_default();
            lost.into_iter().for_each(|subscription| self.mirror_lost(subscription));
        }
        let mut missing = BTreeSet::new();
        // What the machine has kept is heard before anything is said to be known.
        loop {
            let heard = self.next(listening).await;
            self.take(session, heard, &mut missing).await?;
            if !self.held.as_ref().is_some_and(|(_, held)| held.flows.signals.has_more()) {
                break;
            }
        }
        self.forward.up_without_gap().await?;
        self.listen(session, listening, missing).await
    }

    /// What has broken can be taken up again. What is lost is lost: signals are all read anew, the mirror only
    /// what was in that subscription; then there is no answer.
    async fn flowing<T>(
        &mut self,
        session: &Session,
        heard: Result<T, FlowEnd>,
    ) -> Result<Option<T>, End> {
        let Lost { subscription, why } = match heard {
            Ok(heard) => return Ok(Some(heard)),
            Err(FlowEnd::Broken(failure)) => return Err(failure.into()),
            Err(FlowEnd::Lost(lost)) => lost,
        };
        let is_mirrored = self
            .held
            .as_ref()
            .is_some_and(|(_, held)| held.flows.mirrored().contains(&subscription));
        if is_mirrored {
            // The machine may have it still, and is not to fill it for nobody.
            match session.unsubscribe(subscription).await {
                Err(failure) if failure.is_broken() => return Err(failure.into()),
                _ => {}
            }
            self.mirror_lost(subscription);
            return Ok(None);
        }
        self.held = None;
        session.close().await;
        Err(End::Broken(why))
    }

    /// A subscription of the mirror is gone.
    fn mirror_lost(&mut self, subscription: u32) {
        if let Some((_, held)) = &mut self.held {
            held.flows.remove(subscription);
            held.mirrored.iter().for_each(|watch| watch.lost(subscription));
        }
    }

    /// Reads everything anew.
    async fn begin(
        &mut self,
        session: &Arc<Session>,
        listening: &mut Listening,
        found: Found,
        survey: Survey,
    ) -> Result<Infallible, End> {
        if survey.namespaces.is_empty() {
            return Err(End::Broken("the machine has no namespace array".into()));
        }
        self.forward.begin(survey.clock.as_ref());
        let product = survey.product_text();
        let profile = session.vendor().name();
        self.show(|board| (board.product, board.profile) = (product, profile));
        let subscribed = self.subscribe(session).await?;
        let names = &survey.namespaces;
        let watch = Watch::begin(session, subscribed.id, &self.connection, names).await?;
        let mut missing = BTreeSet::new();
        for (index, item) in watch.items.iter().enumerate() {
            match item {
                Item::Watched(_) => drop(missing.insert(index)),
                Item::Refused(status, why) => {
                    self.forward.cannot_watch(index, *status, why).await?;
                }
            }
        }
        let started = survey.started;
        let (flows, passport) = (Flows::new(subscribed), session.passport().clone());
        let mirrored = self
            .mirror
            .as_ref()
            .map(|mirror| Arc::new(MirrorWatch::new(mirror.clone(), self.link.common.clone())));
        let held = Held {
            found,
            passport,
            flows,
            watch,
            mirrored,
            survey,
            knows_orders: Arc::default(),
            is_recognised: false,
        };
        self.held = Some((self.endpoint, Box::new(held)));
        self.first_values(session, listening, &mut missing).await?;
        let is_whole = match &self.held {
            Some((_, held)) => {
                let (forward, connection) = (&mut self.forward, &self.connection);
                backfill::fill(session, forward, connection, &held.watch, started).await?
            }
            None => false,
        };
        match is_whole {
            true => self.forward.up_without_gap().await?,
            false => self.forward.up().await?,
        }
        self.listen(session, listening, missing).await
    }

    async fn subscribe(&self, session: &Session) -> Result<Subscribed, Failure> {
        let publishing = duration(self.connection.publishing_interval);
        let keep_alive = intervals(KEEP_ALIVE, publishing);
        // It ends as late as the session does, and after three keep-alives at least (Part 4 §5.14.2).
        let lifetime = intervals(BRIDGED, publishing).max(keep_alive.saturating_mul(3));
        session.subscribe(publishing, keep_alive, lifetime).await
    }

    /// Waits for the first values of what is missing, not for ever.
    async fn first_values(
        &mut self,
        session: &Session,
        listening: &mut Listening,
        missing: &mut BTreeSet<usize>,
    ) -> Result<(), End> {
        let deadline = Instant::now() + FIRST_VALUES;
        while !missing.is_empty() {
            let Ok(heard) = tokio::time::timeout_at(deadline, self.next(listening)).await else {
                break;
            };
            self.take(session, heard, missing).await?;
        }
        for index in missing.iter() {
            let status = StatusCode::BadWaitingForInitialData;
            self.forward.cannot_watch(*index, status, "no first value arrived").await?;
        }
        Ok(())
    }

    /// Listens until something ends.
    async fn listen(
        &mut self,
        session: &Arc<Session>,
        listening: &mut Listening,
        mut missing: BTreeSet<usize>,
    ) -> Result<Infallible, End> {
        let (mut pulses, _pulse) = pulse(session.clone(), self.link.clock.clone());
        let (mut asked, _mirror) = self.tend_mirror(session).unzip();
        let _recognising = self.recognise(session);
        let _telling = self.tell_orders(session);
        loop {
            let subscription_wanted = async {
                match &mut asked {
                    Some(asked) => asked.recv().await,
                    None => None,
                }
            };
            // Only waiting is given up for the others: what was heard is taken as a whole.
            let heard = tokio::select! {
                heard = self.next(listening) => heard,
                Some(pulse) = pulses.recv() => {
                    self.take_pulse(pulse?)?;
                    continue;
                }
                Some(answer) = subscription_wanted => {
                    // What a mirror cannot have never harms the signals.
                    let made = match self.subscribe(session).await {
                        Ok(subscribed) => Ok(subscribed),
                        Err(failure) if failure.is_broken() => return Err(failure.into()),
                        Err(failure) => Err(failure.status),
                    };
                    let number = made.as_ref().map(|made| made.id).map_err(|status| *status);
                    if let (Some((_, held)), Ok(subscribed)) = (&mut self.held, made) {
                        held.flows.add(subscribed);
                    }
                    // Who has asked may be gone with what he wanted.
                    let _ = answer.send(number);
                    continue;
                }
            };
            self.take(session, heard, &mut missing).await?;
        }
    }

    fn take_pulse(&mut self, pulse: Pulse) -> Result<(), End> {
        self.forward.measure(pulse.clock.as_ref());
        match pulse.not_running {
            None => Ok(()),
            Some(state) => {
                Err(End::Broken(format!("the machine's server is not running (state {state})")))
            }
        }
    }

    /// Waits for the next message; that can be given up and begun again without a loss.
    async fn next(&mut self, listening: &mut Listening) -> Result<Option<Heard>, FlowEnd> {
        match &mut self.held {
            Some((_, held)) => listening.next(&mut held.flows).await,
            None => {
                Err(FlowEnd::Lost(Lost { subscription: 0, why: "nothing is subscribed".into() }))
            }
        }
    }

    /// Takes what was heard. It must not be given up: the machine will not tell it again.
    async fn take(
        &mut self,
        session: &Session,
        heard: Result<Option<Heard>, FlowEnd>,
        missing: &mut BTreeSet<usize>,
    ) -> Result<(), End> {
        let Some((subscription, message)) = self.flowing(session, heard).await?.flatten() else {
            self.heard();
            return Ok(());
        };
        let ended = message.notifications.iter().find_map(|one| match one {
            Notification::Status(status) => Some(*status),
            _ => None,
        });
        let changes = match &mut self.held {
            Some((_, held)) if held.flows.signals.subscription().id == subscription => {
                held.watch.read(&message, session)
            }
            Some((_, held)) => {
                let now = self.link.clock.now();
                let context = session.context().context();
                held.mirrored.iter().for_each(|watch| watch.take(&message, &context, now));
                Vec::new()
            }
            None => Vec::new(),
        };
        if let Some(watch) = self.held.as_ref().and_then(|(_, held)| held.mirrored.as_ref()) {
            watch.room().await;
        }
        if self.forward.is_doubtful(&changes) {
            let pulse = Pulse::of(session, &*self.link.clock).await?;
            self.forward.measure(pulse.clock.as_ref());
        }
        self.forward.changes(changes, missing).await?;
        // Not before all of it is forwarded: if that ends half-way, nothing is known from the message before on.
        self.heard();
        match ended {
            None => Ok(()),
            Some(status) => {
                let why = format!("the machine has ended the subscription ({status})");
                let lost = FlowEnd::Lost(Lost { subscription, why });
                self.flowing::<()>(session, Err(lost)).await.map(|_| ())
            }
        }
    }

    /// All that was heard is taken.
    fn heard(&mut self) {
        let signals = self.held.as_ref().map(|(_, held)| &held.flows.signals);
        if let Some(signals) = signals.filter(|signals| !signals.has_more()) {
            self.forward.heard(signals.told_to());
        }
    }

    /// The connection has ended.
    async fn down(&mut self) -> Result<(), String> {
        if let Some(mirror) = &self.mirror {
            let now = self.link.clock.now();
            let told_to = self.held.as_ref().and_then(|(_, held)| held.flows.mirror_told_to());
            let told_to = told_to.filter(|_| self.forward.believes_times());
            mirror.down(now, told_to.unwrap_or(now));
        }
        self.forward.down().await
    }

    /// Goes away politely: machines have few sessions and keep them for long.
    async fn leave(&mut self) -> Result<(), String> {
        if let Some(session) = self.session.take() {
            session.close().await;
        }
        self.down().await
    }

    fn show(&self, change: impl FnOnce(&mut Connection)) {
        self.link.connections.update(&self.connection.machine, change);
    }

    fn show_broken(&self, error: String) {
        self.show(|board| {
            if board.state != ConnectionState::Connecting {
                board.since = self.link.clock.now();
            }
            board.state = ConnectionState::Connecting;
            board.last_error = error;
        });
    }
}

/// Publishing intervals in a time.
fn intervals(time: Duration, publishing: Duration) -> u32 {
    let count = time.as_millis().div_ceil(publishing.as_millis().max(1));
    u32::try_from(count).unwrap_or(u32::MAX).max(1)
}
