"""Archives and workbooks as small as they can be, made without the libraries that read them."""

import io
import json
import tarfile
import zipfile
from xml.sax.saxutils import escape

SHEET = '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>%s</sheetData></worksheet>'
BOOK = """<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"
xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships">
<sheets><sheet name="one" sheetId="1" r:id="r1"/></sheets></workbook>"""
RELATION = (
    '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r1" '
    'Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/%s" Target="%s"/></Relationships>'
)
TYPES = """<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">
<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>
<Default Extension="xml" ContentType="application/xml"/></Types>"""


def tar_of(files, packing=""):
    """The bytes of a tar with these files: bytes, text, or a value for JSON."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=f"w:{packing}") as archive:
        for name, content in files.items():
            if not isinstance(content, bytes):
                content = (content if isinstance(content, str) else json.dumps(content)).encode()
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def zip_of(files):
    """The bytes of a zip with these (name, content)."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files:
            archive.writestr(name, content, zipfile.ZIP_STORED if name == "mimetype" else None)
    return buffer.getvalue()


def workbook_of(rows, more=""):
    """The bytes of an Excel workbook with these rows, numbers as numbers, and more XML below them."""
    lines = "".join(f"<row>{''.join(map(_cell, row))}</row>" for row in rows) + more
    return zip_of(
        [
            ("[Content_Types].xml", TYPES),
            ("_rels/.rels", RELATION % ("officeDocument", "xl/workbook.xml")),
            ("xl/workbook.xml", BOOK),
            ("xl/_rels/workbook.xml.rels", RELATION % ("worksheet", "worksheets/sheet1.xml")),
            ("xl/worksheets/sheet1.xml", SHEET % lines),
        ]
    )


def _cell(value):
    if isinstance(value, int | float):
        return f"<c><v>{value}</v></c>"
    return f'<c t="inlineStr"><is><t xml:space="preserve">{escape(value)}</t></is></c>'
