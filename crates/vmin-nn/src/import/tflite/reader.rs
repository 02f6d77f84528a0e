//! Reading flatbuffer tables without `unsafe`.
//!
//! Generated flatbuffer code reads through unsafe accessors which are sound only after a verifier
//! has walked the same fields. Here the crate's [`Verifier`] itself does the walking: it resolves
//! and bounds-checks every table, field and vector, counts tables and bytes against limits, and the
//! scalars are then taken from a checked slice.

use flatbuffers::{InvalidFlatbuffer, VOffsetT, Verifier, VerifierOptions};

type Result<T> = std::result::Result<T, InvalidFlatbuffer>;

/// Position of a field's value, `None` where the table does not have it.
pub(super) type Field = Option<usize>;

/// A flatbuffer and the verifier that walks it.
pub(super) struct Reader<'o, 'b> {
    verifier: Verifier<'o, 'b>,
    bytes: &'b [u8],
}

/// Limits for one file: no more tables than tensors and operators allow, and no vector read so often
/// that the copies outgrow the file by more than a small factor.
pub(super) fn options(file_bytes: usize, tables_max: usize) -> VerifierOptions {
    VerifierOptions {
        max_depth: 8,
        max_tables: tables_max,
        max_apparent_size: file_bytes.saturating_mul(4).saturating_add(1 << 20),
        ..VerifierOptions::default()
    }
}

impl<'o, 'b> Reader<'o, 'b> {
    pub(super) fn new(options: &'o VerifierOptions, bytes: &'b [u8]) -> Self {
        Self { verifier: Verifier::new(options, bytes), bytes }
    }

    /// Position of the root table.
    pub(super) fn root(&mut self) -> Result<usize> {
        Ok(self.verifier.get_uoffset(0)? as usize)
    }

    /// Positions of the named fields of the table at `position`.
    pub(super) fn table<const N: usize>(
        &mut self,
        position: usize,
        slots: [VOffsetT; N],
    ) -> Result<[Field; N]> {
        let mut table = self.verifier.visit_table(position)?;
        let mut fields = [None; N];
        for (field, slot) in fields.iter_mut().zip(slots) {
            *field = table.deref(slot)?;
        }
        table.finish();
        Ok(fields)
    }

    /// Position of the table that `field` points to.
    pub(super) fn child(&mut self, field: Field) -> Result<Field> {
        let Some(at) = field else { return Ok(None) };
        let offset = self.verifier.get_uoffset(at)? as usize;
        Ok(Some(at.saturating_add(offset)))
    }

    /// Positions of the tables in the vector of tables that `field` points to.
    pub(super) fn tables(&mut self, field: Field) -> Result<Vec<usize>> {
        let elements = self.vector::<4>(field)?;
        let (Some(start), count) = elements else { return Ok(Vec::new()) };
        let mut positions = Vec::with_capacity(count);
        for index in 0..count {
            let at = start + 4 * index;
            let offset = self.verifier.get_uoffset(at)? as usize;
            positions.push(at.saturating_add(offset));
        }
        Ok(positions)
    }

    /// Start and length of the vector of `SIZE`-byte scalars that `field` points to. Scalars may lie at any
    /// multiple of 4: some writers do not align those of 8 bytes, and nothing here needs it.
    fn vector<const SIZE: usize>(&mut self, field: Field) -> Result<(Field, usize)> {
        let Some(at) = field else { return Ok((None, 0)) };
        let length_at = at.saturating_add(self.verifier.get_uoffset(at)? as usize);
        let count = self.verifier.get_uoffset(length_at)? as usize;
        let start = length_at.saturating_add(4);
        self.verifier.range_in_buffer(start, count.saturating_mul(SIZE))?;
        Ok((Some(start), count))
    }

    /// The `N`-byte scalars of a vector, empty where absent.
    fn scalars<const N: usize, U>(
        &mut self,
        field: Field,
        from: impl Fn([u8; N]) -> U,
    ) -> Result<Vec<U>> {
        let (Some(start), count) = self.vector::<N>(field)? else { return Ok(Vec::new()) };
        let bytes = self.bytes.get(start..start.saturating_add(count * N)).unwrap_or(&[]);
        Ok(bytes.as_chunks::<N>().0.iter().map(|c| from(*c)).collect())
    }

    /// A vector of `i32`.
    pub(super) fn i32s(&mut self, field: Field) -> Result<Vec<i32>> {
        self.scalars(field, i32::from_le_bytes)
    }

    /// A vector of `i64`.
    pub(super) fn i64s(&mut self, field: Field) -> Result<Vec<i64>> {
        self.scalars(field, i64::from_le_bytes)
    }

    /// A vector of `f32`.
    pub(super) fn f32s(&mut self, field: Field) -> Result<Vec<f32>> {
        self.scalars(field, f32::from_le_bytes)
    }

    /// A vector of bytes (or a string), borrowed.
    pub(super) fn bytes(&mut self, field: Field) -> Result<&'b [u8]> {
        let (Some(start), count) = self.vector::<1>(field)? else { return Ok(&[]) };
        Ok(self.bytes.get(start..start.saturating_add(count)).unwrap_or(&[]))
    }

    fn scalar<const N: usize>(&mut self, field: Field) -> Result<Option<[u8; N]>> {
        let Some(at) = field else { return Ok(None) };
        self.verifier.range_in_buffer(at, N)?;
        Ok(self.bytes.get(at..).and_then(|b| b.first_chunk::<N>()).copied())
    }

    /// A `u8`, or `default` where absent.
    pub(super) fn u8(&mut self, field: Field, default: u8) -> Result<u8> {
        Ok(self.scalar(field)?.map_or(default, u8::from_le_bytes))
    }

    /// An `i8`, or `default` where absent.
    pub(super) fn i8(&mut self, field: Field, default: i8) -> Result<i8> {
        Ok(self.scalar(field)?.map_or(default, i8::from_le_bytes))
    }

    /// A `u32`, or `default` where absent.
    pub(super) fn u32(&mut self, field: Field, default: u32) -> Result<u32> {
        Ok(self.scalar(field)?.map_or(default, u32::from_le_bytes))
    }

    /// An `i32`, or `default` where absent.
    pub(super) fn i32(&mut self, field: Field, default: i32) -> Result<i32> {
        Ok(self.scalar(field)?.map_or(default, i32::from_le_bytes))
    }

    /// A `u64`, or `default` where absent.
    pub(super) fn u64(&mut self, field: Field, default: u64) -> Result<u64> {
        Ok(self.scalar(field)?.map_or(default, u64::from_le_bytes))
    }

    /// An `f32`, or `default` where absent.
    pub(super) fn f32(&mut self, field: Field, default: f32) -> Result<f32> {
        Ok(self.scalar(field)?.map_or(default, f32::from_le_bytes))
    }
}
