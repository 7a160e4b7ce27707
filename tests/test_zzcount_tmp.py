import sys, collections
sys.path[:0]=['/work/main/tests']
import test_model as tm
from model import Model
C=collections.Counter()
class Counting(Model):
    def put(self, module, owner, ids, body):
        before=self.shelves[module].get(tm.Model and __import__('model').key(module,owner,ids))
        r=super().put(module,owner,ids,body); C['put',module,len(ids),r]+=1; return r
    def late(self,new,old):
        r=super().late(new,old); C['late',r]+=1; return r
    def patch(self,module,owner,ids,p):
        r=super().patch(module,owner,ids,p); C['patch',module,len(ids) if module=='locations' else 1,r,bool(p)]+=1; return r
    def registered(self,*a): C['registered']+=1; return super().registered(*a)
    def renewed(self,*a): C['renewed']+=1; return super().renewed(*a)
    def unregistered(self,*a): C['unreg']+=1; return super().unregistered(*a)
    def post(self,*a):
        r=super().post(*a); C['post',r]+=1; return r
    def delete(self,*a):
        r=super().delete(*a); C['delete',r]+=1; return r
from conftest import *
def test_c(node, peer):
    n=0
    orig=tm.Machine.begin
    tm.run(node, peer, Counting, 12)
    for k,v in sorted(C.items(),key=str): print(k,v)
