"""Languages: one code of each, for tags of BCP 47, codes of old and codes of three letters."""

from __future__ import annotations

import re
from functools import lru_cache

from adctl.delivery.codes import LANGUAGES

# ISO 639-2 by ISO 639-1, the codes for terminology and, where they differ, for bibliographies.
_THREE_LETTERS = """\
aa:aar ab:abk ae:ave af:afr ak:aka am:amh an:arg ar:ara as:asm av:ava ay:aym az:aze ba:bak be:bel
bg:bul bh:bih bi:bis bm:bam bn:ben bo:bod,tib br:bre bs:bos ca:cat ce:che ch:cha co:cos cr:cre
cs:ces,cze cu:chu cv:chv cy:cym,wel da:dan de:deu,ger dv:div dz:dzo ee:ewe el:ell,gre en:eng
eo:epo es:spa et:est eu:eus,baq fa:fas,per ff:ful fi:fin fj:fij fo:fao fr:fra,fre fy:fry ga:gle
gd:gla gl:glg gn:grn gu:guj gv:glv ha:hau he:heb hi:hin ho:hmo hr:hrv ht:hat hu:hun hy:hye,arm
hz:her ia:ina id:ind ie:ile ig:ibo ii:iii ik:ipk io:ido is:isl,ice it:ita iu:iku ja:jpn jv:jav
ka:kat,geo kg:kon ki:kik kj:kua kk:kaz kl:kal km:khm kn:kan ko:kor kr:kau ks:kas ku:kur kv:kom
kw:cor ky:kir la:lat lb:ltz lg:lug li:lim ln:lin lo:lao lt:lit lu:lub lv:lav mg:mlg mh:mah
mi:mri,mao mk:mkd,mac ml:mal mn:mon mr:mar ms:msa,may mt:mlt my:mya,bur na:nau nb:nob nd:nde
ne:nep ng:ndo nl:nld,dut nn:nno no:nor nr:nbl nv:nav ny:nya oc:oci oj:oji om:orm or:ori os:oss
pa:pan pi:pli pl:pol ps:pus pt:por qu:que rm:roh rn:run ro:ron,rum ru:rus rw:kin sa:san sc:srd
sd:snd se:sme sg:sag si:sin sk:slk,slo sl:slv sm:smo sn:sna so:som sq:sqi,alb sr:srp ss:ssw st:sot
su:sun sv:swe sw:swa ta:tam te:tel tg:tgk th:tha ti:tir tk:tuk tl:tgl tn:tsn to:ton tr:tur ts:tso
tt:tat tw:twi ty:tah ug:uig uk:ukr ur:urd uz:uzb ve:ven vi:vie vo:vol wa:wln wo:wol xh:xho yi:yid
yo:yor za:zha zh:zho,chi zu:zul
"""

# Codes that only old devices and libraries write, and those that CLDR has another one in place of.
# Norwegian without a form is its usual one, as devices mean it.
_OTHERS = """\
ar:arb et:ekk fa:pes,prs he:iw hr:scr id:in jv:jw lv:lvs mn:khk ms:zsm nb:no,nor ne:npi or:ory
ro:mo,mol sq:als sr:sh,scc sw:swh tl:fil uz:uzn yi:ji,ydd zh:cmn
"""
_ALPHA2 = {
    code: row.partition(":")[0]
    for row in (_THREE_LETTERS + _OTHERS).split()
    for code in row.partition(":")[2].split(",")
}
_END_OF_SUBTAG = re.compile(r"[-_,;. @]")
# Undetermined, several, none, and those without a code: languages that are told, and not known.
_NO_LANGUAGE = frozenset(("und", "mul", "zxx", "mis"))
# A tag, or the list of them that browsers send.
_LONGEST_TAG = 256


def normal_language(text: str | None) -> str:
    """Return the ISO 639-1 code of the language that ``text`` names by its tag, '' for none.

    That is the primary subtag of the first tag, in the code used today: ``iw-IL`` is ``he``,
    ``eng`` is ``en``, ``no`` is ``nb``. A language without a code of two letters keeps its code of
    three. Total.
    """
    return _normal(text) if text and len(text) <= _LONGEST_TAG else ""


@lru_cache(maxsize=4096)
def _normal(text: str) -> str:
    code = _END_OF_SUBTAG.split(text.strip().lower(), maxsplit=1)[0]
    code = _ALPHA2.get(code, code)
    if len(code) == 2:
        return code if code in LANGUAGES else ""
    known = len(code) == 3 and code.isascii() and code.isalpha() and code not in _NO_LANGUAGE
    return code if known else ""
