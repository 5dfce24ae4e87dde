"""The chromosomes of assemblies that many tables are written for: lengths and all their names.

A chromosome is known by its length, since names alone do not tell assemblies apart ("1" is the
first chromosome of man and mouse, "X" one of yeast and fly). Names of RefSeq and GenBank, version
included, mean one sequence; those of Ensembl and UCSC mean whatever the assembly has there.
Sources: NCBI's assembly reports of GCF_000001405.40 and .25, GCF_000001635.27 and .26,
GCF_000146045.2, GCF_000001215.4, GCF_000002985.6, GCF_000002035.6 and GCF_000001735.4.
"""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Chromosome:
    """One sequence of an assembly.

    Attributes:
        assembly: its name.
        length: in bases.
        names: all that it is called; the first is Ensembl's.
    """

    assembly: str
    length: int
    names: tuple[str, ...]


def chromosomes() -> Iterator[Chromosome]:
    """Yield the chromosomes of every assembly here."""
    for assembly, ((prefix, first, version, count), table) in _TABLES.items():
        for order, line in enumerate(table.strip().splitlines()):
            name, refseq, length, *others = line.split()
            if order < count:
                others.append(f"{prefix}{first + order:06d}.{version}")
            yield Chromosome(assembly, int(length), (name, f"chr{name}", refseq, *others))


# GenBank often numbers chromosomes one after the other: prefix, number of the first, version, and
# of how many lines. A line: Ensembl's name, RefSeq's, length, further names.
_TABLES: dict[str, tuple[tuple[str, int, int, int], str]] = {
    "GRCh38": (
        ("CM", 663, 2, 24),
        """
        1 NC_000001.11 248956422
        2 NC_000002.12 242193529
        3 NC_000003.12 198295559
        4 NC_000004.12 190214555
        5 NC_000005.10 181538259
        6 NC_000006.12 170805979
        7 NC_000007.14 159345973
        8 NC_000008.11 145138636
        9 NC_000009.12 138394717
        10 NC_000010.11 133797422
        11 NC_000011.10 135086622
        12 NC_000012.12 133275309
        13 NC_000013.11 114364328
        14 NC_000014.9 107043718
        15 NC_000015.10 101991189
        16 NC_000016.10 90338345
        17 NC_000017.11 83257441
        18 NC_000018.10 80373285
        19 NC_000019.10 58617616
        20 NC_000020.11 64444167
        21 NC_000021.9 46709983
        22 NC_000022.11 50818468
        X NC_000023.11 156040895
        Y NC_000024.10 57227415
        MT NC_012920.1 16569 chrM M J01415.2
        """,
    ),
    "GRCh37": (
        ("CM", 663, 1, 24),
        """
        1 NC_000001.10 249250621
        2 NC_000002.11 243199373
        3 NC_000003.11 198022430
        4 NC_000004.11 191154276
        5 NC_000005.9 180915260
        6 NC_000006.11 171115067
        7 NC_000007.13 159138663
        8 NC_000008.10 146364022
        9 NC_000009.11 141213431
        10 NC_000010.10 135534747
        11 NC_000011.9 135006516
        12 NC_000012.11 133851895
        13 NC_000013.10 115169878
        14 NC_000014.8 107349540
        15 NC_000015.9 102531392
        16 NC_000016.9 90354753
        17 NC_000017.10 81195210
        18 NC_000018.9 78077248
        19 NC_000019.9 59128983
        20 NC_000020.10 63025520
        21 NC_000021.8 48129895
        22 NC_000022.10 51304566
        X NC_000023.10 155270560
        Y NC_000024.9 59373566
        """,
    ),
    "GRCm39": (
        ("CM", 994, 3, 21),
        """
        1 NC_000067.7 195154279
        2 NC_000068.8 181755017
        3 NC_000069.7 159745316
        4 NC_000070.7 156860686
        5 NC_000071.7 151758149
        6 NC_000072.7 149588044
        7 NC_000073.7 144995196
        8 NC_000074.7 130127694
        9 NC_000075.7 124359700
        10 NC_000076.7 130530862
        11 NC_000077.7 121973369
        12 NC_000078.7 120092757
        13 NC_000079.7 120883175
        14 NC_000080.7 125139656
        15 NC_000081.7 104073951
        16 NC_000082.7 98008968
        17 NC_000083.7 95294699
        18 NC_000084.7 90720763
        19 NC_000085.7 61420004
        X NC_000086.8 169476592
        Y NC_000087.8 91455967
        MT NC_005089.1 16299 chrM M AY172335.1
        """,
    ),
    "GRCm38": (
        ("CM", 994, 2, 21),
        """
        1 NC_000067.6 195471971
        2 NC_000068.7 182113224
        3 NC_000069.6 160039680
        4 NC_000070.6 156508116
        5 NC_000071.6 151834684
        6 NC_000072.6 149736546
        7 NC_000073.6 145441459
        8 NC_000074.6 129401213
        9 NC_000075.6 124595110
        10 NC_000076.6 130694993
        11 NC_000077.6 122082543
        12 NC_000078.6 120129022
        13 NC_000079.6 120421639
        14 NC_000080.6 124902244
        15 NC_000081.6 104043685
        16 NC_000082.6 98207768
        17 NC_000083.6 94987271
        18 NC_000084.6 90702639
        19 NC_000085.6 61431566
        X NC_000086.7 171031299
        Y NC_000087.7 91744698
        """,
    ),
    "R64": (
        ("", 0, 0, 0),
        """
        I NC_001133.9 230218 1 chr1 chr01 BK006935.2
        II NC_001134.8 813184 2 chr2 chr02 BK006936.2
        III NC_001135.5 316620 3 chr3 chr03 BK006937.2
        IV NC_001136.10 1531933 4 chr4 chr04 BK006938.2
        V NC_001137.3 576874 5 chr5 chr05 BK006939.2
        VI NC_001138.5 270161 6 chr6 chr06 BK006940.2
        VII NC_001139.9 1090940 7 chr7 chr07 BK006941.2
        VIII NC_001140.6 562643 8 chr8 chr08 BK006934.2
        IX NC_001141.2 439888 9 chr9 chr09 BK006942.2
        X NC_001142.9 745751 10 chr10 BK006943.2
        XI NC_001143.9 666816 11 chr11 BK006944.2
        XII NC_001144.5 1078177 12 chr12 BK006945.2
        XIII NC_001145.3 924431 13 chr13 BK006946.2
        XIV NC_001146.8 784333 14 chr14 BK006947.3
        XV NC_001147.6 1091291 15 chr15 BK006948.2
        XVI NC_001148.4 948066 16 chr16 BK006949.2
        Mito NC_001224.1 85779 MT chrM M chrmt
        """,
    ),
    "BDGP6": (
        ("", 0, 0, 0),
        """
        2L NT_033779.5 23513712 AE014134.6
        2R NT_033778.4 25286936 AE013599.5
        3L NT_037436.4 28110227 AE014296.5
        3R NT_033777.3 32079331 AE014297.3
        4 NC_004353.4 1348131 AE014135.4
        X NC_004354.4 23542271 AE014298.5
        Y NC_024512.1 3667352 CP007106.1
        mitochondrion_genome NC_024511.2 19524 MT chrM M KJ947872.2
        """,
    ),
    "WBcel235": (
        ("", 0, 0, 0),
        """
        I NC_003279.8 15072434 BX284601.5
        II NC_003280.10 15279421 BX284602.5
        III NC_003281.10 13783801 BX284603.4
        IV NC_003282.8 17493829 BX284604.4
        V NC_003283.11 20924180 BX284605.5
        X NC_003284.9 17718942 BX284606.5
        MtDNA NC_001328.1 13794 MT chrM M X54252.1
        """,
    ),
    "GRCz11": (
        ("CM", 2885, 2, 25),
        """
        1 NC_007112.7 59578282
        2 NC_007113.7 59640629
        3 NC_007114.7 62628489
        4 NC_007115.7 78093715
        5 NC_007116.7 72500376
        6 NC_007117.7 60270059
        7 NC_007118.7 74282399
        8 NC_007119.7 54304671
        9 NC_007120.7 56459846
        10 NC_007121.7 45420867
        11 NC_007122.7 45484837
        12 NC_007123.7 49182954
        13 NC_007124.7 52186027
        14 NC_007125.7 52660232
        15 NC_007126.7 48040578
        16 NC_007127.7 55266484
        17 NC_007128.7 53461100
        18 NC_007129.7 51023478
        19 NC_007130.7 48449771
        20 NC_007131.7 55201332
        21 NC_007132.7 45934066
        22 NC_007133.7 39133080
        23 NC_007134.7 46223584
        24 NC_007135.7 42172926
        25 NC_007136.7 37502051
        MT NC_002333.2 16596 chrM M
        """,
    ),
    "TAIR10": (
        ("", 0, 0, 0),
        """
        1 NC_003070.9 30427671 Chr1
        2 NC_003071.7 19698289 Chr2
        3 NC_003074.8 23459830 Chr3
        4 NC_003075.7 18585056 Chr4
        5 NC_003076.8 26975502 Chr5
        Pt NC_000932.1 154478 ChrC chrC
        """,
    ),
}
