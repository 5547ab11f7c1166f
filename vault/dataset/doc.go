// Package dataset looks at an analyst's tables before they are sealed.
//
// A Reader takes a CSV, TSV or JSONL stream apart record by record, in
// constant memory and strictly: two programs that disagree about where a cell
// ends would disagree about which cells are masked. A Profiler watches such a
// stream go by and keeps what a preview needs: types, nulls, ranges, an
// estimate of the distinct values, a sample, and what each column seems to
// hold; a ColumnProfiler does so for a table that comes column by column. The
// profile is as secret as the data and belongs into the encrypted facts of a
// container; a Preview hides the sensitive columns even then, until somebody
// asks to see them.
//
// What may be done to a table is in the packages below: rules changes columns,
// risk counts who could be recognised, parquet reads and writes that form.
package dataset
