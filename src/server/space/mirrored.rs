//! What machines show of themselves: their own nodes, below the `Mirror` of each machine.
//!
//! The nodes of a machine are built whole when it was copied anew, and never changed. Values come from
//! what the machine tells while somebody looks; all else is asked of it. Whatever takes time is asked
//! without a lock.

mod ground;
mod happened;
mod history;
mod recorded;
mod shown;

pub use ground::TypeGround;

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use hashbrown::HashMap;
use opcua::types::{DataValue, DateTime, NodeId, NumericRange, StatusCode, Variant};

use self::history::RemoteHistory;
use self::recorded::RecordedHistory;
use self::shown::ShownMachine;
use super::CallOutcome;
use super::at_time::{self, AtTimeRequest};
use super::event::Event;
use super::history::{HistoryPage, RawHistoryRequest, read};
use super::model_change::Changes;
use super::node::{CURRENT_WRITE, Node, Reference};
use super::protection::Asker;
use super::told::ConditionMethod;
use super::type_tree::TypeTree;
use crate::app::clock::Clock;
use crate::domain::id::MachineId;
use crate::domain::time::Timestamp;
use crate::mirror::{Called, Mirror, Mirrors, Remote, without_value};

/// The nodes of all mirrored machines.
pub struct MirroredSpace {
    mirrors: Mirrors,
    clock: Arc<dyn Clock>,
    /// Index of the namespace of the plant, in which the folders of the mirrors are.
    plant: u16,
    base: Arc<TypeTree>,
    state: RwLock<State>,
}

struct State {
    machines: BTreeMap<MachineId, Arc<ShownMachine>>,
    /// Whose a namespace is.
    owners: HashMap<u16, Arc<ShownMachine>>,
    types: Arc<TypeTree>,
}

impl MirroredSpace {
    /// No nodes yet, beside some types.
    pub fn new(
        mirrors: Mirrors,
        clock: Arc<dyn Clock>,
        plant: u16,
        base: Arc<TypeTree>,
    ) -> MirroredSpace {
        let (machines, owners) = (BTreeMap::new(), HashMap::new());
        let state = RwLock::new(State { machines, owners, types: base.clone() });
        MirroredSpace { mirrors, clock, plant, base, state }
    }

    /// All types, those of machines too.
    pub fn types(&self) -> Arc<TypeTree> {
        self.state.read().unwrap_or_else(PoisonError::into_inner).types.clone()
    }

    /// Shows what was copied anew, and no longer what is mirrored no longer; the events that tell of it.
    pub fn follow(&self) -> Vec<Event> {
        let mirrors = self.mirrors.all();
        let mut changes = Changes::default();
        let mut machines = {
            let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
            state.machines.clone()
        };
        let is_there =
            |shown: &ShownMachine| mirrors.iter().any(|mirror| Arc::ptr_eq(mirror, &shown.mirror));
        let mut has_changed = false;
        for (_, gone) in machines.extract_if(.., |_, shown| !is_there(shown)) {
            let folder = self.folder(&gone.mirror.machine);
            gone.tell_difference(&ShownMachine::empty(gone.mirror.clone()), &folder, &mut changes);
            has_changed = true;
        }
        for mirror in mirrors {
            let Some(copy) = mirror.take_copy() else { continue };
            let folder = self.folder(&mirror.machine);
            let shown = Arc::new(ShownMachine::new(mirror.clone(), copy, &folder));
            let before = machines.insert(mirror.machine.clone(), shown.clone());
            let before = before.unwrap_or_else(|| Arc::new(ShownMachine::empty(mirror)));
            before.tell_difference(&shown, &folder, &mut changes);
            has_changed = true;
        }
        if has_changed {
            self.show(machines);
        }
        changes.events(DateTime::now())
    }

    fn show(&self, machines: BTreeMap<MachineId, Arc<ShownMachine>>) {
        let mut types = TypeTree::above(self.base.clone());
        let mut owners = HashMap::new();
        for shown in machines.values() {
            shown.add_types(&mut types);
            owners.extend(shown.namespaces().map(|index| (index, shown.clone())));
        }
        let types = Arc::new(types);
        *self.state.write().unwrap_or_else(PoisonError::into_inner) =
            State { machines, owners, types };
    }

    /// The folder below which the nodes of a machine are.
    fn folder(&self, machine: &MachineId) -> NodeId {
        NodeId::new(self.plant, format!("machine/{machine}/Mirror"))
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn owner(&self, id: &NodeId) -> Option<Arc<ShownMachine>> {
        if id.namespace == 0 {
            return None;
        }
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        state.owners.get(&id.namespace).cloned()
    }

    /// Whether a namespace is that of a machine, whether it shows anything now or not.
    pub fn has_namespace(&self, index: u16) -> bool {
        self.mirrors.namespaces().is_of_machine(index)
    }

    /// The mirror in which a node is.
    pub fn mirror(&self, id: &NodeId) -> Option<Arc<Mirror>> {
        let owner = self.owner(id)?;
        owner.node(id).map(|_| owner.mirror.clone())
    }

    /// A node.
    pub fn node(&self, id: &NodeId) -> Option<Arc<Node>> {
        self.owner(id)?.node(id).cloned()
    }

    /// References from a mirrored node, or from one of ours into a mirror.
    pub fn references(&self, id: &NodeId) -> Vec<Reference> {
        if let Some(owner) = self.owner(id) {
            return owner.references(id).to_vec();
        }
        let machines = {
            let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
            state.machines.clone()
        };
        machines.values().flat_map(|shown| shown.references(id)).cloned().collect()
    }

    /// The value of a variable, where the machine needs not be asked.
    pub fn current_value(&self, id: &NodeId) -> Option<DataValue> {
        let value = self.mirror(id)?.value(id, self.clock.now())?;
        Some((*value).clone())
    }

    /// The values of variables, asked of their machines where that is necessary, of all machines at once.
    pub async fn fetch(&self, ids: &[NodeId]) -> std::collections::HashMap<NodeId, DataValue> {
        let mut by_machine: BTreeMap<MachineId, (Arc<Mirror>, Vec<NodeId>)> = BTreeMap::new();
        for id in ids {
            if let Some(mirror) = self.mirror(id) {
                let fresh = || (mirror.clone(), Vec::new());
                by_machine.entry(mirror.machine.clone()).or_insert_with(fresh).1.push(id.clone());
            }
        }
        let asked = by_machine.into_values().map(|(mirror, mut ids)| async move {
            ids.sort_by_key(ToString::to_string);
            ids.dedup();
            let values = self.ask(&mirror, &ids).await;
            ids.into_iter().zip(values).collect::<Vec<_>>()
        });
        futures::future::join_all(asked).await.into_iter().flatten().collect()
    }

    async fn ask(&self, mirror: &Mirror, ids: &[NodeId]) -> Vec<DataValue> {
        if let Some(remote) = mirror.remote() {
            return remote.read(ids).await;
        }
        let now = self.clock.now();
        let lost = || without_value(StatusCode::BadNoCommunication, now);
        let value = |id| mirror.value(id, now).map_or_else(lost, |value| (*value).clone());
        ids.iter().map(value).collect()
    }

    /// The value of a variable.
    pub async fn value(&self, id: &NodeId) -> DataValue {
        if let Some(value) = self.current_value(id) {
            return value;
        }
        let fetched = self.fetch(std::slice::from_ref(id)).await.remove(id);
        fetched.unwrap_or_else(|| without_value(StatusCode::BadNodeIdUnknown, self.clock.now()))
    }

    fn remote(&self, id: &NodeId) -> Result<Arc<dyn Remote>, StatusCode> {
        let mirror = self.mirror(id).ok_or(StatusCode::BadNodeIdUnknown)?;
        mirror.remote().ok_or(StatusCode::BadNoCommunication)
    }

    /// Writes a variable at its machine.
    pub async fn write(&self, id: &NodeId, range: &NumericRange, value: &DataValue) -> StatusCode {
        let may = self.node(id).is_some_and(|node| node.access_level() & CURRENT_WRITE != 0);
        if !may {
            return StatusCode::BadNotWritable;
        }
        match self.remote(id) {
            Ok(remote) => {
                let value = value.value.clone().unwrap_or(Variant::Empty);
                remote.write(id, range, &value).await
            }
            Err(status) => status,
        }
    }

    /// Calls a method at its machine, of one of its nodes or of a condition.
    pub async fn call(
        &self,
        object: &NodeId,
        method: &NodeId,
        arguments: &[Variant],
        asker: &Asker,
    ) -> CallOutcome {
        let refused = |status| CallOutcome { status, ..CallOutcome::default() };
        let Some(owner) = self.owner(object) else { return refused(StatusCode::BadNodeIdUnknown) };
        let Some(remote) = owner.mirror.remote() else {
            return refused(StatusCode::BadNoCommunication);
        };
        let machine = &owner.mirror.machine;
        let Called { status, arguments, outputs } = remote.call(object, method, arguments).await;
        tracing::info!(user = asker.name, %machine, %method, %status, "a method of a machine was called");
        let audit = happened::response(method).map(ConditionMethod::audit);
        CallOutcome { status, arguments, outputs, audit, why: None }
    }

    /// What is kept of a variable here.
    fn recorded(&self, id: &NodeId, now: Timestamp) -> Option<RecordedHistory> {
        Some(RecordedHistory { kept: self.mirror(id)?.kept_values(id)?, now })
    }

    /// The history of a variable: what is kept of it here, else what the machine keeps.
    pub async fn history(
        &self,
        id: &NodeId,
        request: &RawHistoryRequest,
    ) -> Result<HistoryPage, StatusCode> {
        if let Some(recorded) = self.recorded(id, request.now) {
            return read(&recorded, request).await;
        }
        let remote = self.remote(id)?;
        read(&RemoteHistory { remote, node: id.clone(), now: request.now }, request).await
    }

    /// Values at given instants, of what is kept here of a variable, else of what the machine keeps.
    pub async fn history_at(
        &self,
        id: &NodeId,
        request: &AtTimeRequest,
    ) -> Result<Vec<DataValue>, StatusCode> {
        if let Some(recorded) = self.recorded(id, request.now) {
            return at_time::read(&recorded, request).await;
        }
        let remote = self.remote(id)?;
        at_time::read(&RemoteHistory { remote, node: id.clone(), now: request.now }, request).await
    }
}
