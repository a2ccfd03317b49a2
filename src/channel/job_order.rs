//! The structures of ISA-95 Job Control (OPC 10031-4 version 2, §7.3).

use opcua::types::{DateTime, EUInformation, LocalizedText, RelativePath, UAString, Variant};

use crate::channel::structure::structure;

structure! {
    /// A named property (ISA95PropertyDataType).
    Property = 5002 {
        /// Its name.
        id: UAString,
        /// Its value.
        value: Variant,
        /// What it is.
        description: Option<Vec<LocalizedText>>,
        /// Unit of the value.
        engineering_units: Option<EUInformation>,
        /// Properties of it.
        subproperties: Option<Vec<Property>>,
    }
}

structure! {
    /// A named parameter (ISA95ParameterDataType).
    Parameter = 5005 {
        /// Its name.
        id: UAString,
        /// Its value.
        value: Variant,
        /// What it is.
        description: Option<Vec<LocalizedText>>,
        /// Unit of the value.
        engineering_units: Option<EUInformation>,
        /// Parameters of it.
        subparameters: Option<Vec<Parameter>>,
    }
}

/// A resource with an id: equipment, people, physical assets.
macro_rules! resource {
    ($(#[$doc:meta])* $name:ident = $encoding:literal) => {
        structure! {
            $(#[$doc])*
            $name = $encoding {
                /// Its name.
                id: UAString,
                /// What it is.
                description: Option<Vec<LocalizedText>>,
                /// What it is for.
                use_of: Option<UAString>,
                /// How much, as an exact decimal.
                quantity: Option<UAString>,
                /// Unit of the quantity.
                engineering_units: Option<EUInformation>,
                /// Its properties.
                properties: Option<Vec<Property>>,
            }
        }
    };
}

resource! {
    /// Equipment (ISA95EquipmentDataType).
    Equipment = 5008
}
resource! {
    /// People (ISA95PersonnelDataType).
    Personnel = 5020
}
resource! {
    /// Physical assets (ISA95PhysicalAssetDataType).
    PhysicalAsset = 5023
}

structure! {
    /// One level of the state of a job order (ISA95StateDataType).
    State = 5029 {
        /// From the receiver to the state machine; empty for the outermost.
        browse_path: RelativePath,
        /// Name of the state.
        state_text: LocalizedText,
        /// Number of the state.
        state_number: u32,
    }
}

structure! {
    /// The recipe of a job order (ISA95WorkMasterDataType).
    WorkMaster = 5011 {
        /// Its name.
        id: UAString,
        /// What it is.
        description: Option<LocalizedText>,
        /// Its parameters.
        parameters: Option<Vec<Parameter>>,
    }
}

structure! {
    /// Material (ISA95MaterialDataType).
    Material = 5017 {
        /// Its class.
        class_id: Option<UAString>,
        /// Which material.
        definition_id: Option<UAString>,
        /// Which lot.
        lot_id: Option<UAString>,
        /// Which part of the lot.
        sublot_id: Option<UAString>,
        /// What it is.
        description: Option<Vec<LocalizedText>>,
        /// Whether it is used or made.
        use_of: Option<UAString>,
        /// How much, as an exact decimal.
        quantity: Option<UAString>,
        /// Unit of the quantity.
        engineering_units: Option<EUInformation>,
        /// Its properties.
        properties: Option<Vec<Property>>,
    }
}

structure! {
    /// A job order (ISA95JobOrderDataType).
    JobOrder = 5014 {
        /// Its number.
        id: UAString,
        /// What it is.
        description: Option<Vec<LocalizedText>>,
        /// Recipes by which it can be made.
        work_masters: Option<Vec<WorkMaster>>,
        /// When it should begin.
        start_time: Option<DateTime>,
        /// When it should end.
        end_time: Option<DateTime>,
        /// Higher goes first.
        priority: Option<i16>,
        /// Its parameters.
        parameters: Option<Vec<Parameter>>,
        /// People that it needs.
        personnel: Option<Vec<Personnel>>,
        /// Equipment that it needs.
        equipment: Option<Vec<Equipment>>,
        /// Physical assets that it needs.
        physical_assets: Option<Vec<PhysicalAsset>>,
        /// Material that it needs or makes.
        materials: Option<Vec<Material>>,
    }
}

structure! {
    /// What came of a job order (ISA95JobResponseDataType).
    JobResponse = 5026 {
        /// Number of the response.
        id: UAString,
        /// What it is.
        description: Option<LocalizedText>,
        /// Number of the job order.
        job_order_id: UAString,
        /// When it began.
        start_time: Option<DateTime>,
        /// When it ended.
        end_time: Option<DateTime>,
        /// Its state, outermost level first.
        job_state: Vec<State>,
        /// Its figures.
        data: Option<Vec<Parameter>>,
        /// People that have worked.
        personnel: Option<Vec<Personnel>>,
        /// Equipment that was used.
        equipment: Option<Vec<Equipment>>,
        /// Physical assets that were used.
        physical_assets: Option<Vec<PhysicalAsset>>,
        /// Material that was used or made.
        materials: Option<Vec<Material>>,
    }
}

structure! {
    /// A job order with its state (ISA95JobOrderAndStateDataType).
    JobOrderAndState = 5032 {
        /// The job order.
        job_order: JobOrder,
        /// Its state, outermost level first.
        state: Vec<State>,
    }
}

#[cfg(test)]
mod tests {
    use opcua::types::{ContextOwned, DecodingOptions, NamespaceMap, StatusCode};

    use super::*;
    use crate::channel::decode::raw_context;
    use crate::channel::structure::{Structure as _, Wire as _};

    fn context() -> ContextOwned {
        raw_context(NamespaceMap::new(), DecodingOptions::default())
    }

    fn round_trip(order: &JobOrder) -> Vec<u8> {
        let owned = context();
        let context = owned.context();
        let mut bytes = Vec::new();
        order.write(&mut bytes, &context).unwrap();
        let mut stream = &bytes[..];
        assert_eq!(&JobOrder::read(&mut stream, &context).unwrap(), order);
        assert!(stream.is_empty());
        bytes
    }

    #[test]
    fn absent_fields_take_no_bytes_and_present_ones_have_their_bit() {
        let mut order = JobOrder { id: "A".into(), ..JobOrder::default() };
        // Mask of nothing, a string of one byte.
        assert_eq!(round_trip(&order), [0, 0, 0, 0, 1, 0, 0, 0, b'A']);
        order.priority = Some(7);
        order.materials =
            Some(vec![Material { quantity: Some("1.5".into()), ..Material::default() }]);
        let bytes = round_trip(&order);
        // Priority is the fifth optional field, materials are the tenth.
        assert_eq!(bytes[..4], (1_u32 << 4 | 1 << 9).to_le_bytes());
    }

    #[test]
    fn parameters_inside_parameters_end_somewhere() {
        let nested = |depth: usize| {
            let mut parameter = Parameter { id: "x".into(), ..Parameter::default() };
            for _ in 0..depth {
                let subparameters = Some(vec![parameter]);
                parameter = Parameter { id: "x".into(), subparameters, ..Parameter::default() };
            }
            let owned = context();
            let context = owned.context();
            let mut bytes = Vec::new();
            parameter.write(&mut bytes, &context).unwrap();
            Parameter::read(&mut &bytes[..], &context).is_ok()
        };
        assert!(nested(3));
        assert!(!nested(200));
    }

    #[test]
    fn an_array_that_says_it_is_longer_than_its_message_is_refused() {
        let owned = context();
        let context = owned.context();
        let bytes = [0xff, 0xff, 0xff, 0x7f, 0, 0];
        assert!(
            <Vec<Material> as crate::channel::structure::Wire>::read(&mut &bytes[..], &context)
                .is_err()
        );
    }

    #[test]
    fn a_structure_of_another_kind_is_not_taken_for_this_one() {
        let owned = context();
        let context = owned.context();
        let object = Property::default().object(3, &context).unwrap();
        assert_eq!(Property::of_object(&object, 3, &context), Ok(Property::default()));
        let mismatch = StatusCode::BadTypeMismatch;
        assert_eq!(Property::of_object(&object, 4, &context), Err(mismatch));
        assert_eq!(Parameter::of_object(&object, 3, &context), Err(mismatch));
    }

    #[test]
    fn a_structure_that_would_fill_the_memory_is_refused_before_it_is_read() {
        let owned = context();
        let context = owned.context();
        let many = |count| JobOrder {
            materials: Some(vec![Material::default(); count]),
            ..JobOrder::default()
        };
        let read = |count| {
            let object = many(count).object(3, &context).unwrap();
            JobOrder::of_object(&object, 3, &context).map(|job| job.materials.unwrap().len())
        };
        assert_eq!(read(1000), Ok(1000));
        assert_eq!(read(300_000), Err(StatusCode::BadEncodingLimitsExceeded));
    }
}
