//! All namespaces as one space: OPC UA's own and the plant's.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use opcua::types::{
    ContextOwned, DataValue, DateTime, NodeId, NumericRange, ObjectId, ReferenceTypeId, StatusCode,
    Variant,
};

use super::at_time::AtTimeRequest;
use super::event::Event;
use super::event_history::{EventHistoryRequest, EventPage};
use super::history::{HistoryPage, RawHistoryRequest};
use super::mirrored::{MirroredSpace, TypeGround};
use super::model::Model;
use super::model_change::Untold;
use super::node::{Node, Reference};
use super::plant::{PlantSpace, SpaceInputs};
use super::protection::Asker;
use super::standard::StandardSpace;
use super::type_tree::TypeTree;
use super::virtual_nodes::Listed;
use super::{CallOutcome, Space};
use crate::domain::evidence::Observation;
use crate::domain::notice::Notice;

/// Both spaces. That of the plant is another one after the configuration was read again.
pub struct WholeSpace {
    standard: Arc<StandardSpace>,
    /// The types without those of machines.
    types: Arc<TypeTree>,
    model: Arc<Model>,
    context: Arc<ContextOwned>,
    /// Index of the namespace of instances.
    instances: u16,
    plant: RwLock<Arc<PlantSpace>>,
    mirrored: MirroredSpace,
    untold: Untold,
}

impl WholeSpace {
    /// Puts the spaces together.
    pub fn new(
        inputs: SpaceInputs,
        standard: StandardSpace,
        model: Model,
        instances: u16,
        context: ContextOwned,
    ) -> Result<WholeSpace, String> {
        let types = Arc::new(TypeTree::new(&[standard.nodes(), model.nodes()]));
        let (standard, model, context) = (Arc::new(standard), Arc::new(model), Arc::new(context));
        let ground = TypeGround::new(standard.clone(), model.clone(), types.clone());
        inputs.mirrors.set_ground(Arc::new(ground));
        let (mirrors, clock) = (inputs.mirrors.clone(), inputs.clock.clone());
        let mirrored = MirroredSpace::new(mirrors, clock, instances, types.clone());
        let sets = (standard.nodes(), &*types);
        let plant = PlantSpace::new(inputs, model.clone(), instances, sets, context.clone())?;
        let plant = RwLock::new(Arc::new(plant));
        let untold = Untold::default();
        Ok(WholeSpace { standard, types, model, context, instances, plant, mirrored, untold })
    }

    /// Goes on with the nodes of the plant as it is described now; what has changed is told by events.
    pub fn redefine(&self, inputs: SpaceInputs) -> Result<(), String> {
        let sets = (self.standard.nodes(), &*self.types);
        let (model, context) = (self.model.clone(), self.context.clone());
        let next = Arc::new(PlantSpace::new(inputs, model, self.instances, sets, context)?);
        // Comparing large trees takes a while, in which others go on with the old one.
        self.untold.note((self.plant().instances(), next.instances()), self.instances);
        *self.plant.write().unwrap_or_else(PoisonError::into_inner) = next;
        Ok(())
    }

    /// What machines show of themselves.
    pub fn mirrored(&self) -> &MirroredSpace {
        &self.mirrored
    }

    fn plant(&self) -> Arc<PlantSpace> {
        self.plant.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[async_trait]
impl Space for WholeSpace {
    fn types(&self) -> Arc<TypeTree> {
        self.mirrored.types()
    }

    fn is_remote(&self, id: &NodeId) -> bool {
        self.mirrored.has_namespace(id.namespace)
    }

    async fn fetch(&self, ids: &[NodeId]) -> HashMap<NodeId, DataValue> {
        self.mirrored.fetch(ids).await
    }

    fn instances(&self) -> u16 {
        self.instances
    }

    fn known(&self, id: &NodeId) -> Option<Arc<Node>> {
        match id.namespace {
            0 => self.standard.node(id).cloned(),
            _ => self.mirrored.node(id).or_else(|| self.plant().known(id)),
        }
    }

    fn referenced(&self, id: &NodeId) -> Option<Arc<Node>> {
        match id.namespace {
            0 => self.standard.node(id).cloned(),
            _ => self.mirrored.node(id).or_else(|| self.plant().referenced(id)),
        }
    }

    async fn node(&self, id: &NodeId) -> Result<Option<Arc<Node>>, StatusCode> {
        match id.namespace {
            0 => Ok(self.standard.node(id).cloned()),
            _ => match self.mirrored.node(id) {
                Some(node) => Ok(Some(node)),
                None => self.plant().node(id).await,
            },
        }
    }

    async fn references(&self, id: &NodeId) -> Result<Vec<Reference>, StatusCode> {
        let mut references = self.standard.references(id).to_vec();
        references.extend(self.plant().references(id).await?);
        references.extend(self.mirrored.references(id));
        // The Server is the root of all notifiers (Part 3 §7.18).
        if *id == ObjectId::Server {
            let top = self.plant().top();
            references.push(Reference::forward(ReferenceTypeId::HasNotifier, top));
        }
        Ok(references)
    }

    fn has_pages(&self, id: &NodeId) -> bool {
        id.namespace == self.instances && self.plant().has_pages(id)
    }

    async fn page(&self, id: &NodeId, after: Option<&str>) -> Result<Listed, StatusCode> {
        self.plant().page(id, after).await
    }

    fn current_value(&self, id: &NodeId) -> Option<DataValue> {
        match id.namespace {
            0 => self.standard.value(id),
            _ if self.is_remote(id) => self.mirrored.current_value(id),
            _ => self.plant().current_value(id),
        }
    }

    fn sight(&self, id: &NodeId) -> Option<(Arc<Node>, Option<DataValue>)> {
        match id.namespace {
            0 => Some((self.standard.node(id)?.clone(), self.standard.value(id))),
            _ => match self.mirrored.node(id) {
                Some(node) => Some((node, self.mirrored.current_value(id))),
                None => self.plant().sight(id),
            },
        }
    }

    async fn value(&self, id: &NodeId) -> DataValue {
        match self.current_value(id) {
            Some(value) => value,
            None if self.is_remote(id) => self.mirrored.value(id).await,
            None => self.plant().value(id).await,
        }
    }

    async fn write(
        &self,
        id: &NodeId,
        range: &NumericRange,
        value: &DataValue,
        _: &Asker,
    ) -> StatusCode {
        // No node of the plant itself can be written: it is commanded by methods.
        self.mirrored.write(id, range, value).await
    }

    async fn call(
        &self,
        object: &NodeId,
        method: &NodeId,
        arguments: &[Variant],
        asker: &Asker,
    ) -> CallOutcome {
        if object.namespace == 0 {
            let exists = self.standard.node(object).is_some();
            let status =
                if exists { StatusCode::BadMethodInvalid } else { StatusCode::BadNodeIdUnknown };
            return CallOutcome { status, ..CallOutcome::default() };
        }
        if self.mirrored.mirror(object).is_some() || self.response(object, method).is_some() {
            return self.mirrored.call(object, method, arguments, asker).await;
        }
        self.plant().call(object, method, arguments, asker).await
    }

    async fn history(
        &self,
        id: &NodeId,
        request: &RawHistoryRequest,
    ) -> Result<HistoryPage, StatusCode> {
        match self.is_remote(id) {
            true => self.mirrored.history(id, request).await,
            false => self.plant().history(id, request).await,
        }
    }

    async fn history_at(
        &self,
        id: &NodeId,
        request: &AtTimeRequest,
    ) -> Result<Vec<DataValue>, StatusCode> {
        match self.is_remote(id) {
            true => self.mirrored.history_at(id, request).await,
            false => self.plant().history_at(id, request).await,
        }
    }

    fn notifiers(&self, source: &NodeId) -> Vec<NodeId> {
        match self.mirrored.notifiers(source) {
            Some((mut above, folder)) => {
                above.extend(self.plant().notifiers(&folder));
                above
            }
            None => self.plant().notifiers(source),
        }
    }

    fn response(&self, object: &NodeId, method: &NodeId) -> Option<NodeId> {
        self.mirrored.response(object, method)
    }

    fn observed(&self, observation: &Observation) -> Option<(NodeId, DataValue)> {
        self.plant().observed(observation)
    }

    fn is_observed(&self, id: &NodeId) -> bool {
        self.plant().is_observed(id)
    }

    fn event(&self, notice: &Notice) -> Event {
        self.plant().event(notice)
    }

    fn retained(&self) -> Vec<Event> {
        let mut retained = self.plant().retained();
        retained.extend(self.mirrored.retained(self.mirrored.now()));
        retained
    }

    fn model_changes(&self) -> Vec<Event> {
        let plant = self.plant();
        let (orders, [folder, of_folder, of_order]) = plant.orders_listed();
        self.untold.take((&folder, &of_folder), orders, &of_order, DateTime::now())
    }

    async fn event_history(
        &self,
        id: &NodeId,
        request: &EventHistoryRequest,
    ) -> Result<EventPage, StatusCode> {
        self.plant().event_history(id, request).await
    }
}
