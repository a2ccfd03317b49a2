//! What stands beside the equipment: orders, lots, reasons, products and links in one object, and what the
//! plant adds to the standard objects of the server.

use std::sync::Arc;

use hashbrown::HashMap;
use opcua::types::{
    DataTypeId, LocalizedText, NodeId, ObjectId, ObjectTypeId, QualifiedName, ReferenceTypeId,
    VariableTypeId, Variant,
};

use super::{Builder, Built};
use crate::domain::plant::Reason;
use crate::server::space::bind;
use crate::server::space::instance::Instance;
use crate::server::space::node::{Attributes, NodeKind, Reference};
use crate::server::space::protection::Protection;
use crate::server::space::source::{Source, Subject};

impl Builder<'_> {
    pub(super) fn mes(&mut self) -> Built<()> {
        let of_type = self.model.own("MesType");
        let members = self.declarations.members(&of_type, &bind::wants_job, &[], &bind::mes)?;
        let texts = ("MES", "MES", "All of the MES that belongs to no single piece of equipment.");
        self.object(("mes", Subject::Mes), texts, of_type, members.into());
        let reasons: Vec<_> = self.plant.reasons.values().cloned().collect();
        for reason in &reasons {
            self.reason(reason)?;
        }
        for reason in &reasons {
            let path = format!("reason/{}", reason.id);
            match &reason.parent {
                Some(parent) => {
                    let above = format!("reason/{parent}");
                    self.link((&above, ""), ReferenceTypeId::HasComponent, &path);
                }
                None => self.link(("mes", "Reasons"), ReferenceTypeId::Organizes, &path),
            }
        }
        for product in self.plant.products.values().cloned().collect::<Vec<_>>() {
            let path = format!("product/{}", product.id);
            let of_type = self.model.own("ProductType");
            let binds = |path: &str| match path {
                "Unit" => bind::constant(product.unit.as_str()),
                _ => None,
            };
            let members = self.declarations.members(&of_type, &|_| false, &[], &binds)?;
            let texts = (product.id.as_str(), product.name.as_str(), "A product.");
            self.object((&path, Subject::Mes), texts, of_type, members.into());
            self.link(("mes", "Products"), ReferenceTypeId::Organizes, &path);
        }
        for machine in self.plant.machines.keys() {
            let path = format!("machine/{machine}/Connection");
            self.instances.link(
                ("mes", "Connections"),
                ReferenceTypeId::Organizes,
                &path,
                self.namespace,
            );
        }
        Ok(())
    }

    fn reason(&mut self, reason: &Reason) -> Built<()> {
        let path = format!("reason/{}", reason.id);
        let of_type = self.model.own("ReasonType");
        let binds = |path: &str| match path {
            "Key" => bind::constant(reason.id.as_str()),
            "LossClass" => bind::constant(reason.class as i32),
            "IsFailure" => bind::constant(reason.failure),
            "StopsLine" => bind::constant(reason.stops_line),
            "ValidFrom" => bind::constant(bind::optional_time(reason.valid.from)),
            "ValidTo" => bind::constant(bind::optional_time(reason.valid.to)),
            _ => None,
        };
        let members = self.declarations.members(&of_type, &|_| false, &[], &binds)?;
        let kind = NodeKind::Variable {
            type_definition: of_type,
            data_type: DataTypeId::LocalizedText.into(),
            value_rank: -1,
            historizing: false,
        };
        let texts = (reason.id.as_str(), reason.name.as_str(), "A reason; its value is its name.");
        self.instance((&path, Subject::Mes), texts, kind, members.into());
        let name = LocalizedText::from(reason.name.as_str());
        self.instances.value(&path, Source::Constant(Variant::from(name)));
        Ok(())
    }

    /// The role of ERP systems, which OPC UA does not know.
    pub(super) fn role(&mut self) -> Built<()> {
        let of_type = NodeId::from(ObjectTypeId::RoleType);
        let members = self.declarations.members(&of_type, &|_| false, &[], &bind::role)?;
        let text = "The role of the ERP system: stores, moves and reports job orders.";
        self.object(("role/erp", Subject::Mes), ("Erp", "Erp", text), of_type, members.into());
        let set = ObjectId::Server_ServerCapabilities_RoleSet;
        let above = Reference::inverse(ReferenceTypeId::HasComponent, set);
        self.instances.refer("role/erp", above);
        Ok(())
    }

    /// Which events of the server are kept, as its history says (Part 11 §5.3.2).
    pub(super) fn server(&mut self) -> Built<()> {
        let path = "server/HistoricalEventFilter";
        let kind = NodeKind::Variable {
            type_definition: VariableTypeId::PropertyType.into(),
            data_type: DataTypeId::EventFilter.into(),
            value_rank: -1,
            historizing: false,
        };
        let attributes = Attributes {
            browse_name: QualifiedName::new(0, "HistoricalEventFilter"),
            display_name: "HistoricalEventFilter".into(),
            description: "Which events are kept: all that happened in the plant.".into(),
            protection: Protection::Open,
            kind,
        };
        let of_type =
            Reference::forward(ReferenceTypeId::HasTypeDefinition, VariableTypeId::PropertyType);
        let above = Reference::inverse(ReferenceTypeId::HasProperty, ObjectId::Server);
        self.instances.add(Instance {
            path: path.to_owned(),
            subject: Subject::Mes,
            attributes: Arc::new(attributes),
            source: Some(Source::Constant(bind::kept_events().into())),
            members: Arc::default(),
            references: vec![of_type, above],
            member_references: HashMap::new(),
            notifier: None,
        });
        let id = NodeId::new(self.namespace, path);
        let reference = Reference::forward(ReferenceTypeId::HasProperty, id);
        self.instances.roots.push((ObjectId::Server.into(), reference));
        Ok(())
    }

    /// What is to be known about the namespace of instances.
    pub(super) fn metadata(&mut self) -> Built<String> {
        let path = "namespace/plant".to_owned();
        let of_type = NodeId::from(ObjectTypeId::NamespaceMetadataType);
        let uri = self.uri;
        let binds = |path: &str| bind::namespace(path, uri);
        let members = self.declarations.members(&of_type, &|_| false, &[], &binds)?;
        let text = "What is to be known about the namespace.";
        self.object((&path, Subject::Mes), (uri, uri, text), of_type, members.into());
        let above = Reference::inverse(ReferenceTypeId::HasComponent, ObjectId::Server_Namespaces);
        self.instances.refer(&path, above);
        Ok(path)
    }
}
