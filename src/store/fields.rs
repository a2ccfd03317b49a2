//! How structures and enumerations become bytes: the macros behind all records.
//!
//! The order of fields and the tags are the format: they are never changed, only added to.

/// Fields one after the other.
macro_rules! record_struct {
    ($name:ident { $($field:ident),+ $(,)? }) => {
        impl Record for $name {
            fn put(&self, out: &mut Vec<u8>) {
                $(self.$field.put(out);)+
            }
            fn get(input: &mut &[u8]) -> Result<Self, Malformed> {
                Ok($name { $($field: Record::get(input)?),+ })
            }
        }
    };
}

/// A tag, then the fields of the variant.
macro_rules! record_enum {
    ($name:ident {
        $($tag:literal => $variant:ident
            $(( $($item:ident),+ ))?
            $({ $($field:ident),+ $(,)? })?),+ $(,)?
    } $(, $old:literal => $read:path)*) => {
        impl Record for $name {
            fn put(&self, out: &mut Vec<u8>) {
                match self {
                    $($name::$variant $(( $($item),+ ))? $({ $($field),+ })? => {
                        out.push($tag);
                        $($($item.put(out);)+)?
                        $($($field.put(out);)+)?
                    })+
                }
            }
            fn get(input: &mut &[u8]) -> Result<Self, Malformed> {
                match u8::get(input)? {
                    $($tag => {
                        $($(let $item = Record::get(input)?;)+)?
                        $($(let $field = Record::get(input)?;)+)?
                        Ok($name::$variant $(( $($item),+ ))? $({ $($field),+ })?)
                    })+
                    $($old => $read(input),)*
                    _ => Err(Malformed::Meaningless(stringify!($name))),
                }
            }
        }
    };
}

pub(super) use {record_enum, record_struct};
